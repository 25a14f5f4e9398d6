// SPDX-License-Identifier: Apache-2.0

// Values to reach into: it prints what each expression leads to, as the tracer should show it.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
)

type Header struct {
	Name  string
	Value string
}

type URL struct {
	Scheme, Host, Path string
}

type Base struct {
	ID    int32
	Label string
}

type Wide struct {
	Filler [300]byte
	Name   string
}

type Request struct {
	Method string
	URL    *URL
	*Base
	Headers  []Header
	Pointers []*Header
	Wides    []Wide
	Grid     [3][2]int16
	Tags     map[string]int
	Body     chan int
	Next     *Request
	Err      error
	Any      interface{}
	Password string
	Numbers  []uint64
	Empty    struct{}
}

type OpError struct {
	Op   string
	Code int
	Err  error
}

func (e *OpError) Error() string { return e.Op }

type Coded int

func (c Coded) Error() string { return "coded" }

// Its receiver, a pointer, a string, a slice, an array by value, a number.
//
//go:noinline
func (b *Base) handle(r *Request, s string, xs []int, grid [3]Header, n int) (out *Request, size int, err error) {
	sink += n
	return r.Next, len(s) + len(xs), r.Err
}

//go:noinline
func other(r *URL) string {
	sink++
	return r.Path
}

type object = map[string]interface{}

var sink int

func say(values map[string]interface{}) {
	text, err := json.Marshal(values)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func headers(n int) []Header {
	var hs []Header
	for i := 0; i < n; i++ {
		hs = append(hs, Header{fmt.Sprintf("name%d", i), fmt.Sprintf("value%d", i)})
	}
	return hs
}

func request(i int) *Request {
	hs := headers(5)
	r := &Request{
		Method:   fmt.Sprintf("M%d", i),
		URL:      &URL{"https", "example.com", fmt.Sprintf("/path/%d", i)},
		Base:     &Base{int32(-7 * i), "labelled"},
		Headers:  hs,
		Pointers: []*Header{&hs[1], nil, &hs[3]},
		Wides:    []Wide{{Name: "wide0"}, {Name: "wide1"}, {Name: "wide2"}},
		Grid:     [3][2]int16{{1, 2}, {3, 4}, {5, int16(i)}},
		Tags:     map[string]int{"a": 1, "b": 2, "c": 3},
		Body:     make(chan int, 11),
		Password: "hunter2",
		Numbers:  []uint64{1 << 63, 2, 3, 4, 5, 6, 7},
		Err:      &OpError{"read", 100 + i, errors.New("inner")},
		Any:      Coded(40 + i),
	}
	r.Body <- 1
	r.Body <- 2
	r.Next = &Request{Method: "next", URL: r.URL, Headers: hs[:2]}
	return r
}

func names(hs []Header) []string {
	v := []string{}
	for _, h := range hs {
		v = append(v, h.Name)
	}
	return v
}

func calls(i int) {
	r := request(i)
	grid := [3]Header{r.Headers[0], r.Headers[1], {"g", "last"}}
	xs := []int{10 * i, 11, 12, 13, 14}
	s := fmt.Sprintf("string number %d", i)
	say(map[string]interface{}{
		"r.Method":               r.Method,
		"r.URL.Path":             r.URL.Path,
		"*r.URL":                 *r.URL,
		"r.ID":                   r.ID,
		"r.Base.Label":           r.Base.Label,
		"b.Label":                r.Base.Label,
		"b.ID":                   r.Base.ID,
		"r.Headers[0].Name":      r.Headers[0].Name,
		"r.Headers[4].Value":     r.Headers[4].Value,
		"r.Headers[:3].Name":     names(r.Headers[:3]),
		"r.Headers[2:].Name":     names(r.Headers[2:]),
		"r.Headers[:40].Name":    names(r.Headers),
		"r.Headers[1:3]":         r.Headers[1:3],
		"r.Wides[2].Name":        r.Wides[2].Name,
		"r.Wides[1:].Name":       []string{"wide1", "wide2"},
		"r.Grid[2][1]":           r.Grid[2][1],
		"r.Grid[1:]":             r.Grid[1:],
		"r.Grid":                 r.Grid,
		"len(r.Headers)":         len(r.Headers),
		"cap(r.Numbers)":         cap(r.Numbers),
		"len(r.Tags)":            len(r.Tags),
		"len(r.Next.Tags)":       0,
		"len(r.Body)":            len(r.Body),
		"cap(r.Body)":            cap(r.Body),
		"len(r.Grid)":            len(r.Grid),
		"len(r.Method)":          len(r.Method),
		"r.Next.Next":            nil,
		"r.Next.Method":          r.Next.Method,
		"r.Next.Headers[:].Name": names(r.Next.Headers),
		"r.Next.Numbers":         nil,
		"r.Next.Numbers[:3]":     nil,
		"r.Next.Wides[:3].Name":  []string{},
		"r.Numbers[:4]":          r.Numbers[:4],
		"r.Numbers[5:]":          r.Numbers[5:],
		"r.Method[0]":            r.Method[0],
		"s[7:13]":                s[7:13],
		"s[14:]":                 s[14:],
		"s[:40]":                 s,
		"len(s)":                 len(s),
		"s":                      s,
		"xs[0]":                  xs[0],
		"xs[4]":                  xs[4],
		"xs[1:4]":                xs[1:4],
		"xs[1:4][1]":             xs[1:4][1],
		"xs[1:4][1:]":            xs[1:4][1:],
		"cap(xs)":                cap(xs),
		"grid[2].Value":          grid[2].Value,
		"grid[:2].Name":          names(grid[:2]),
		"grid[1:]":               grid[1:],
		"n":                      i,

		"r.Err.(*main.OpError).Op":                         "read",
		"r.Err.(*main.OpError).Code":                       100 + i,
		"*r.Err.(*main.OpError).Err.(*errors.errorString)": object{"s": "inner"},
		"len(r.Err.(*main.OpError).Op)":                    4,
		"r.Any.(main.Coded)":                               40 + i,
		"r.Empty":                                          struct{}{},
	})
	r.Base.handle(r, s, xs, grid, i)
	other(r.URL)
}

func main() {
	n := flag.Int("n", 3, "rounds")
	wait := flag.Bool("wait", false, "for a line on standard input")
	flag.Parse()
	if *wait {
		bufio.NewReader(os.Stdin).ReadString('\n')
	}
	for i := 1; i <= *n; i++ {
		calls(i)
	}
}
