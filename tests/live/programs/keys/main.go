// SPDX-License-Identifier: Apache-2.0

// Entries of maps: it prints what each expression leads to, as the tracer should show it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"
)

type Item struct {
	Name  string
	Price int
	Tags  []string
	Next  *Item
	By    map[string]int
	Any   interface{}
}

type Wide struct {
	Filler [300]byte
	Name   string
}

type Shelf struct {
	Labels map[string]string
}

type Point struct{ X, Y int }

type Word string

type Small int8

type Tables struct {
	ByName map[string]Item
	ByRef  map[string]*Item
	Small  map[Small]string
	Flags  map[bool]int
	Words  map[Word]int
	Uints  map[uint64]uint16
	Wide   map[string]Wide
	Points map[Point]int
	Reals  map[float64]int
	Nil    map[string]int
	Groups map[string]map[string]int
	Refs   map[string]**int
}

//go:noinline
func look(t *Tables, counts map[string]int, shelves []Shelf, big map[string]int) int {
	sink += len(counts)
	return sink
}

var sink int

func say(values map[string]interface{}) {
	text, err := json.Marshal(values)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func main() {
	n := flag.Int("n", 1, "rounds")
	entries := flag.Int("entries", 5000, "in the big map")
	flag.Parse()
	number := 77
	ref := &number
	for i := 1; i <= *n; i++ {
		last := &Item{Name: "last", Price: 3 * i}
		ball := Item{"ball", 10 * i, []string{"red", "round"}, last, map[string]int{"you": 2, "me": i}, Point{i, -i}}
		t := &Tables{
			ByName: map[string]Item{"ball": ball, "box": {Name: "box", Price: -1}, "": {Name: "nameless"}},
			ByRef:  map[string]*Item{"ball": &ball, "none": nil},
			Small:  map[Small]string{-128: "least", -1: "minus", 0: "zero", 127: "most"},
			Flags:  map[bool]int{true: i},
			Words:  map[Word]int{"größe": 5, "a\"b": 6, "tab\t": 7},
			Uints:  map[uint64]uint16{1 << 63: 63, 1<<64 - 1: 64, 3: 3},
			Wide:   map[string]Wide{"w": {Name: "wide"}, "v": {Name: "other"}},
			Points: map[Point]int{{1, 2}: 3},
			Reals:  map[float64]int{1.5: 2},
			Groups: map[string]map[string]int{"a": {"x": 1, "y": 2}, "b": {}},
			Refs:   map[string]**int{"r": &ref},
		}
		counts := map[string]int{}
		for k := 0; k < 23; k++ {
			counts[fmt.Sprintf("key%02d", k)] = 100*i + k
		}
		shelves := []Shelf{{map[string]string{"app": "web"}}, {map[string]string{"app": "db", "x": "y"}}}
		big := make(map[string]int)
		for k := 0; k < *entries; k++ {
			big[fmt.Sprintf("entry number %d", k)] = k
		}
		big[strings.Repeat("long", 100)] = 1
		say(map[string]interface{}{
			`t.ByName["ball"].Name`:             "ball",
			`t.ByName["ball"].Price`:            10 * i,
			`t.ByName["box"].Price`:             -1,
			`t.ByName[""].Name`:                 "nameless",
			`t.ByName["ball"].Tags[1]`:          "round",
			`t.ByName["ball"].Tags[:5]`:         []string{"red", "round"},
			`t.ByName["ball"].Next.Name`:        "last",
			`t.ByName["ball"].Next.Price`:       3 * i,
			`t.ByName["ball"].By["you"]`:        2,
			`t.ByName["ball"].By`:               ball.By,
			`t.ByName["ball"].Any.(main.Point)`: ball.Any,
			`len(t.ByName["ball"].Tags)`:        2,
			`len(t.ByName["ball"].By)`:          2,
			`len(t.ByName["ball"].Name)`:        4,
			`t.ByRef["ball"].Next.Name`:         "last",
			`t.ByRef["ball"].By["me"]`:          i,
			`t.ByRef["none"]`:                   nil,
			`(*t.ByRef["ball"]).Price`:          10 * i,
			`t.Small[-128]`:                     "least",
			`t.Small[-1]`:                       "minus",
			`t.Small[0]`:                        "zero",
			`t.Small[127]`:                      "most",
			`t.Flags[true]`:                     i,
			`t.Words["größe"]`:                  5,
			`t.Words["a\"b"]`:                   6,
			"t.Words[`tab	`]":                   7,
			`t.Uints[0x8000000000000000]`:       63,
			`t.Uints[18446744073709551615]`:     64,
			`t.Wide["w"].Name`:                  "wide",
			`t.Groups["a"]["y"]`:                2,
			`t.Groups["b"]`:                     map[string]int{},
			`t.Groups["a"]`:                     t.Groups["a"],
			`**t.Refs["r"]`:                     77,
			`counts["key00"]`:                   100 * i,
			`counts["key22"]`:                   100*i + 22,
			`shelves[:].Labels["app"]`:          []string{"web", "db"},
			`shelves[1].Labels["x"]`:            "y",
		})
		look(t, counts, shelves, big)
	}
}
