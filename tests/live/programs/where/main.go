// SPDX-License-Identifier: Apache-2.0

// Calls functions with values that conditions are asked of, and counts by itself of how many calls each is true: at the end one line
// "KEY N" for each. Builds with Go 1.15 and later.
package main

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"sync"
	"time"
	"unsafe"
)

var (
	lock  sync.Mutex
	known = map[string]int{}
	sink  int
)

func is(key string, yes bool) {
	lock.Lock()
	defer lock.Unlock()
	known[key+" calls"]++
	if yes {
		known[key]++
	}
}

type place struct {
	Path string
	Deep *int32
}

type request struct {
	Method string
	URL    *place
	Ratio  float64
	Small  float32
	Tags   []string
	Bytes  [4]uint8
	Any    interface{}
	Len    map[string]int
	Pipe   chan int
}

type oops struct {
	Code  int
	Again bool
}

func (o *oops) Error() string { return fmt.Sprint("oops ", o.Code) }

type plain int

func (p plain) Error() string { return "plain" }

//go:noinline
func ints(a int8, b int16, c int32, d int64, e uint8, f uint16, g uint32, h uint64) {
	is("ints int8", a < -3)
	is("ints int16", b >= -1)
	is("ints int32", c == -5 || c > 30)
	is("ints int64", d <= -9223372036854775800)
	is("ints uint8", e > 200)
	is("ints uint16", f > 65500 && f != 65510)
	is("ints uint32", g >= 4294967290)
	is("ints uint64", h > 18446744073709551600)
	is("ints mixed", int64(a) > d && !(e < 150))
	sink += int(a) + int(b)
}

//go:noinline
func texts(name, other string, ok bool, n int) {
	is("texts bob", n > 10 && name == "bob" && !ok)
	is("texts empty", other == "")
	is("texts same", name == other)
	is("texts long", other != "a string of more than eight bytes")
	is("texts len", len(name) > 3)
	is("texts letter", len(name) > 1 && name[1] == 'o')
	sink += len(name) + len(other)
}

//go:noinline
func serve(r *request, n int) {
	is("serve nil", r == nil)
	is("serve path", r != nil && r.URL != nil && r.URL.Path == "/x")
	is("serve not", r != nil && r.URL != nil && r.URL.Path != "/x")
	is("serve or", n > 280 || (r != nil && r.URL != nil && r.URL.Path == "/x"))
	is("serve deep", r != nil && r.URL != nil && r.URL.Deep != nil && *r.URL.Deep < 0)
	is("serve ratio", r != nil && r.Ratio > 1.5)
	is("serve ratio below", r != nil && r.Ratio <= -0.25)
	is("serve ratio zero", r != nil && r.Ratio == 0)
	is("serve ratio not", r != nil && r.Ratio != 2)
	is("serve small", r != nil && r.Small < 0.1)
	is("serve tag", r != nil && len(r.Tags) > 2 && r.Tags[2] == "c")
	is("serve byte", r != nil && r.Bytes[3] == 7)
	is("serve map", r != nil && len(r.Len) > 1)
	is("serve chan", r != nil && len(r.Pipe) == 1 && cap(r.Pipe) == 3)
	o, held := interface{}(nil), false
	if r != nil {
		o, held = r.Any, r.Any != nil
	}
	p, right := o.(*oops)
	is("serve any", held)
	is("serve type", right && p.Code == 3)
	sink += n
}

//go:noinline
func fail(n int) (count int, err error) {
	count = n % 13
	switch {
	case n%7 == 0:
		err = &oops{n % 5, n%2 == 0}
	case n%11 == 0:
		err = plain(n)
	}
	o, ok := err.(*oops)
	is("fail err", err != nil)
	is("fail none", err == nil && n > 50)
	is("fail code", ok && o.Code == 3)
	is("fail again", ok && o.Again)
	is("fail either", n < 5 || err != nil)
	is("fail less", count < n)
	is("fail same", n%13 == 4)
	return count, err
}

//go:noinline
func split(n int) (half float64, name string, ok bool) {
	ok = n%3 == 0
	name = [...]string{"even", "odd"}[n%2]
	is("split odd", name == "odd" && !ok)
	return float64(n) / 2, name, ok
}

//go:noinline
func nap(d time.Duration) int {
	time.Sleep(d)
	is("nap long", d > 25*time.Millisecond)
	is("nap asked", d >= 30*time.Millisecond)
	return int(d)
}

//go:noinline
func boom(n int) (m int) {
	if n%5 == 0 {
		panic(errors.New("boom"))
	}
	is("boom returned", true)
	return n
}

func survive(n int) {
	defer func() { _ = recover() }()
	boom(n)
}

//go:noinline
func deep(n, depth int) int {
	r := n
	if depth > 0 {
		r = deep(n+1, depth-1) + 1
	}
	is("deep result", r > n)
	return r
}

//go:noinline
func far(p *int64, n int) {
	is("far good", n%4 == 0)
	is("far bad", n%4 != 0)
	sink += n
}

//go:noinline
func busy(n int) int { return n + 1 }

func main() {
	for i := 0; i < 101; i++ {
		ints(int8(i-50), int16(i-40), int32(i-30), math.MinInt64+int64(i), uint8(155+i), uint16(65435+i), uint32(4294967295-100+i),
			18446744073709551615-100+uint64(i))
	}
	names := []string{"bob", "alice", "bo", "", "bob", "a string of more than eight bytes"}
	others := []string{"", "bob", "a string of more than eight byteS", "a string of more than eight bytes", "bob", "alice", "bo"}
	for i := 0; i < 211; i++ {
		texts(names[i%len(names)], others[i%len(others)], i%3 == 0, i)
	}
	below := int32(-4)
	ratios := []float64{0, math.Copysign(0, -1), 1.5, 1.6, 2, -0.25, -0.2, math.NaN(), math.Inf(1), math.Inf(-1), 5e-324}
	for i := 0; i < 307; i++ {
		r := &request{Method: "GET", Ratio: ratios[i%len(ratios)], Small: float32(ratios[(i+3)%len(ratios)])}
		if i%3 != 0 {
			r.URL = &place{Path: []string{"/x", "/y", "/xx"}[i%7%3]}
		}
		if i%9 == 1 {
			r.URL.Deep = &below
		}
		if i%4 == 0 {
			r.Tags = []string{"a", "b", []string{"c", "d"}[i%8/4]}
			r.Len = map[string]int{"a": 1, "b": i}
		}
		r.Bytes[3] = uint8(i % 10)
		switch i % 6 {
		case 1:
			r.Any = &oops{Code: i % 4}
		case 2:
			r.Any = i
		case 3:
			r.Pipe = make(chan int, 3)
			r.Pipe <- 1
		}
		if i%17 == 16 {
			r = nil
		}
		serve(r, i)
	}
	for i := 0; i < 331; i++ {
		_, err := fail(i)
		if err != nil {
			sink++
		}
		half, _, _ := split(i)
		sink += int(half)
	}
	var all sync.WaitGroup
	for i := 0; i < 23; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			nap([]time.Duration{0, 40 * time.Millisecond, time.Millisecond}[i%3])
		}(i)
	}
	all.Wait()
	for i := 0; i < 53; i++ {
		survive(i)
		sink += deep(i, i%11)
	}
	good := int64(-1)
	for i := 0; i < 41; i++ {
		p := &good
		if i%4 != 0 {
			p = (*int64)(unsafe.Pointer(uintptr(1<<44 + 8*i)))
		}
		far(p, i)
	}
	for i := 0; i < 10007; i++ {
		sink += busy(i)
	}
	keys := make([]string, 0, len(known))
	for key := range known {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		fmt.Println(key, known[key])
	}
}
