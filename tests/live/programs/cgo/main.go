// SPDX-License-Identifier: Apache-2.0

// Go called from C called from Go; each call is printed as a line of JSON, as the tracer shows it.
package main

/*
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int32_t number; char letter; double part; } record;

extern int64_t goAdd(int64_t a, int32_t b, char *text, record *r);

// A C function of the same name as a Go one, and one that calls back.
static int64_t scale(int64_t a) { return 5 * a; }

static int64_t callBack(int64_t a) {
	record r = { 7, 'x', 2.5 };
	return scale(goAdd(a, 23, "from C", &r));
}
*/
import "C"

import (
	"encoding/json"
	"os"
)

type list = []interface{}

var out = json.NewEncoder(os.Stdout)

func say(name string, args, results list) {
	if err := out.Encode(map[string]interface{}{"func": name, "args": args, "results": results}); err != nil {
		panic(err)
	}
}

//export goAdd
func goAdd(a C.int64_t, b C.int32_t, text *C.char, r *C.record) C.int64_t {
	sum := a + C.int64_t(b) + C.int64_t(r.number) + C.int64_t(C.strlen(text))
	say("main.goAdd", list{a, b}, list{sum})
	return sum
}

//go:noinline
func scale(n int, label string) (int, string) {
	return n * 3, label + "!"
}

//go:noinline
func pass(c C.record, n int) (C.record, int) {
	c.number++
	return c, n + int(c.letter)
}

func main() {
	for n := 1; n <= 13; n++ {
		C.callBack(C.int64_t(100 * n))
		label := "label"[:n%6]
		r, s := scale(n, label)
		say("main.scale", list{n, label}, list{r, s})
		c := C.record{number: C.int32_t(n), letter: 'q', part: 0.25}
		d, m := pass(c, n)
		say("main.pass", list{n}, list{d.number, m})
	}
}
