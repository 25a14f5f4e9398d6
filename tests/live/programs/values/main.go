// SPDX-License-Identifier: Apache-2.0

// One function for each kind of value that leads into the run-time system. Each is called with known values and prints what it was
// given, as a tracer should show it: {"func":…,"args":{…}}, a line each.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

type object map[string]interface{}
type list []interface{}

var area int

var out = bufio.NewWriter(os.Stdout)

func say(name string, args object) {
	text, err := json.Marshal(object{"func": "main." + name, "args": args})
	if err != nil {
		panic(err)
	}
	out.Write(text)
	out.WriteByte('\n')
}

func at(p interface{}) string { return fmt.Sprintf("%p", p) }

func pointer(p, to interface{}) object { return object{"ptr": at(p), "to": to} }

// The type as debug information names it: with the package's path.
func typeName(v interface{}) string {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Ptr {
		return "*" + typeName(reflect.Zero(t.Elem()).Interface())
	}
	if t.PkgPath() != "" && t.PkgPath() != "main" {
		return t.PkgPath() + "." + t.Name()
	}
	return t.String()
}

func held(v, shown interface{}) object { return object{"type": typeName(v), "value": shown} }

func failed(err error, shown interface{}) object {
	return object{"type": typeName(err), "value": shown, "text": err.Error()}
}

type point struct{ X, Y int }

type wide struct {
	Name string
	Pad  [20]int64
}

func (p point) String() string { return "a point" }

type shape interface{ Area() int }

type square struct{ Side int }
type circle struct{ R *int }
type named string
type count int8
type one struct{ P *point }

func (s *square) Area() int { return s.Side * s.Side }
func (c circle) Area() int  { return 3 * *c.R * *c.R }
func (n named) Area() int   { return len(n) }
func (c count) Area() int   { return int(c) }
func (o one) Area() int     { return o.P.X }

// ---- channels, functions, unsafe pointers -------------------------------------------------------------------

//go:noinline
func channels(a chan int, b <-chan string, c chan<- struct{}, none chan point) {
	say("channels", object{
		"a": object{"ptr": at(a), "len": len(a), "cap": cap(a)}, "b": object{"ptr": at(b), "len": len(b), "cap": cap(b)},
		"c": object{"ptr": at(c), "len": len(c), "cap": cap(c)}, "none": nil,
	})
}

//go:noinline
func double(n int) int { return 2 * n }

//go:noinline
func functions(plain, closure func(int) int, method func() int, none func()) {
	word := func(f interface{}) string {
		return fmt.Sprintf("%#x", (*[2]uintptr)(unsafe.Pointer(&f))[1])
	}
	say("functions", object{
		"plain":   object{"ptr": word(plain), "func": "main.double", "captured": object{}},
		"closure": object{"ptr": word(closure), "func": "main.callFunctions.func1", "captured": nil},
		"method":  object{"ptr": word(method), "func": "main.(*square).Area-fm", "captured": nil},
		"none":    nil,
	})
}

func callFunctions(k int) {
	s := &square{k}
	functions(double, func(n int) int { return n + k }, s.Area, nil)
}

//go:noinline
func others(p, none unsafe.Pointer, c complex128, m *sync.Mutex, n *int32, empty struct{}, z [0]int) {
	say("others", object{
		"p": object{"ptr": at(p)}, "none": nil, "c": list{real(c), imag(c)}, "n": pointer(n, atomic.LoadInt32(n)),
		"empty": object{}, "z": list{},
	})
}

// ---- maps ---------------------------------------------------------------------------------------------------

//go:noinline
func maps(s map[string]int, i map[int16]string, u map[uint64]bool, b map[bool]string, e map[string]struct{}, none map[string]int) {
	bools := object{}
	for k, v := range b {
		bools[fmt.Sprint(k)] = v
	}
	say("maps", object{"s": s, "i": i, "u": u, "b": bools, "e": e, "none": nil})
}

//go:noinline
func nested(h map[string][]string, m map[string]map[string]point, p map[int]*point, w map[int]wide) {
	shown := object{}
	for k, v := range p {
		shown[fmt.Sprint(k)] = pointer(v, v)
	}
	say("nested", object{"h": h, "m": m, "p": shown, "w": w})
}

//go:noinline
func pairs(k map[point]string, f map[float64]int, a map[[2]string]bool, w map[wide]int) {
	var pk, pf, pa, pw list
	for k, v := range k {
		pk = append(pk, list{k, v})
	}
	for k, v := range f {
		pf = append(pf, list{k, v})
	}
	for k, v := range a {
		pa = append(pa, list{k, v})
	}
	for k, v := range w {
		pw = append(pw, list{k, v})
	}
	say("pairs", object{"k": pk, "f": pf, "a": pa, "w": pw})
}

//go:noinline
func sized(n int, m map[int]int, s map[string]string) {
	say("sized", object{"n": n, "m": m, "s": s})
}

// ---- interfaces ---------------------------------------------------------------------------------------------

//go:noinline
func anything(v interface{}) {
	var shown interface{}
	switch v := v.(type) {
	case nil:
	case *point:
		shown = held(v, pointer(v, v))
	case *int:
		shown = held(v, pointer(v, *v))
	case chan int:
		shown = held(v, object{"ptr": at(v), "len": len(v), "cap": cap(v)})
	case one:
		shown = held(v, object{"P": pointer(v.P, v.P)})
	case complex64:
		shown = held(v, list{real(v), imag(v)})
	case time.Duration:
		shown = object{"type": "time.Duration", "value": int64(v), "text": v.String()}
	case []interface{}:
		shown = object{"type": "[]interface {}", "value": list{held(v[0], v[0]), held(v[1], v[1]), nil}}
	case []byte:
		bytes := list{}
		for _, b := range v {
			bytes = append(bytes, b)
		}
		shown = held(v, bytes)
	default:
		shown = held(v, v)
	}
	say("anything", object{"v": shown})
}

//go:noinline
func shapes(v shape) {
	var shown interface{}
	if v != nil {
		area += v.Area() // so that the methods, and with them the types, are in the debug information
	}
	switch v := v.(type) {
	case nil:
	case *square:
		shown = held(v, pointer(v, v))
	case circle:
		shown = held(v, object{"R": pointer(v.R, *v.R)})
	case one:
		shown = held(v, object{"P": pointer(v.P, v.P)})
	default:
		shown = held(v, v)
	}
	say("shapes", object{"v": shown})
}

//go:noinline
func inside(list []shape, m map[string]interface{}, s fmt.Stringer) {
	var shown []interface{}
	for _, v := range list {
		shown = append(shown, held(v, v))
	}
	values := object{}
	for k, v := range m {
		values[k] = held(v, v)
	}
	say("inside", object{"list": shown, "m": values, "s": held(s, s)})
}

// ---- errors, times, addresses -------------------------------------------------------------------------------

// What is inside an error is looked at by its text only.
//
//go:noinline
func fails(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	say("fails", object{"err": object{"type": typeName(err), "text": text}})
}

//go:noinline
func errno(err syscall.Errno, as error) {
	say("errno", object{"err": uint64(err), "as": failed(as, uint64(err))})
}

//go:noinline
func durations(d time.Duration) {
	say("durations", object{"d": object{"value": int64(d), "text": d.String()}})
}

//go:noinline
func times(t time.Time) {
	say("times", object{"t": t.UTC().Format(time.RFC3339Nano)})
}

//go:noinline
func addresses(ip net.IP) {
	bytes := list{}
	for _, b := range ip {
		bytes = append(bytes, b)
	}
	say("addresses", object{"ip": object{"value": bytes, "text": ip.String()}})
}

type stackError struct {
	error
	depth int
}

func callErrors() {
	_, open := os.Open("/no/such/file")
	fails(open)
	fails(errors.New("plain"))
	fails(errors.New(""))
	fails(fmt.Errorf("while at it: %w", open))
	fails(fmt.Errorf("again: %w", fmt.Errorf("while at it: %w", open)))
	fails(fmt.Errorf("nothing wrapped %d", 7))
	fails(os.Rename("/no/such", "/nor/this"))
	fails(os.NewSyscallError("frobnicate", syscall.EPERM))
	_, dial := net.Dial("tcp", "127.0.0.1:1")
	fails(dial)
	fails(&net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 44000},
		Addr: &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 443}, Err: errors.New("reset")})
	fails(context.Canceled)
	fails(context.DeadlineExceeded)
	var big map[string]int
	fails(json.Unmarshal([]byte("{"), &big))
	func() {
		defer func() { fails(recover().(error)) }()
		var none []int
		fmt.Sprint(none[len(os.Args)+1000])
	}()
	fails(joined(open, errors.New("second")))
	for i := syscall.Errno(1); i < 140; i++ {
		errno(i, i)
	}
}

func callTimes() {
	for _, d := range []time.Duration{0, 1, -1, 999, 1000, 1001, 1500 * time.Microsecond, time.Second, 90 * time.Second, time.Hour,
		26*time.Hour + 3*time.Minute + 4567*time.Millisecond, -1 << 63, 1<<63 - 1, 100 * time.Millisecond} {
		durations(d)
	}
	for _, t := range []time.Time{{}, time.Now(), time.Now().Round(0), time.Unix(0, 0), time.Unix(951782399, 5),
		time.Unix(951782400, 120000000), time.Unix(253402300799, 999999999), time.Date(1600, 12, 31, 23, 59, 59, 0, time.UTC),
		time.Date(2000, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(2100, 3, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1900, 2, 28, 1, 2, 3, 4, time.UTC), time.Date(2024, 2, 29, 12, 0, 0, 1000, time.FixedZone("east", 7200))} {
		times(t)
	}
	for _, a := range []string{"127.0.0.1", "::1", "::", "2001:db8::1", "2001:0:0:1::1", "1:0:0:2:0:0:0:3", "fe80::1:2:3:4", "::ffff:1.2.3.4",
		"1:2:3:4:5:6:7:8", "1:0:3:4:5:6:7:8", "1::"} {
		addresses(net.ParseIP(a))
	}
	addresses(net.IPv4(192, 168, 0, 1).To4())
}

func callMaps() {
	maps(map[string]int{"a": 1, "b\"c": -2, "": 3}, map[int16]string{-5: "minus", 7: "plus"}, map[uint64]bool{1<<64 - 1: true, 0: false},
		map[bool]string{true: "yes", false: "no"}, map[string]struct{}{"x": {}}, nil)
	maps(map[string]int{}, map[int16]string{}, map[uint64]bool{}, map[bool]string{}, map[string]struct{}{}, nil)
	nested(map[string][]string{"Accept": {"text/html", "*/*"}, "Empty": {}, "One": {"1"}},
		map[string]map[string]point{"outer": {"inner": {1, 2}, "other": {3, 4}}, "empty": {}},
		map[int]*point{1: {5, 6}, -1: {7, 8}}, map[int]wide{3: {Name: "far away", Pad: [20]int64{1, 2, 19: 3}}})
	pairs(map[point]string{{1, 2}: "a"}, map[float64]int{2.5: 1}, map[[2]string]bool{{"p", "q"}: true}, map[wide]int{{Name: "key"}: 1})
	for _, n := range []int{1, 7, 8, 9, 13, 14, 15, 27, 28, 29, 40, 55} {
		m, s := map[int]int{}, map[string]string{}
		for i := 0; i < n; i++ {
			m[i*i] = -i
			s[strings.Repeat("k", i%5)+fmt.Sprint(i)] = fmt.Sprint("v", i)
			if i%7 == 3 {
				delete(m, i*i)
			}
		}
		sized(n, m, s)
	}
}

func callInterfaces() {
	n := 41
	for _, v := range []interface{}{nil, 7, "text", true, 2.5, float32(0.5), int8(-3), uint16(65535), point{1, 2}, &point{3, 4}, &n,
		make(chan int, 4), one{&point{5, 6}}, complex64(1 + 2i), named("n"), count(-7), time.Duration(1500), []int{1, 2, 3},
		map[string]int{"k": 1}, [2]string{"a", "b"}, struct{}{}, wide{Name: "w"}, []interface{}{1, "two", nil}, []byte("ab"), 0, 255, ""} {
		anything(v)
	}
	for _, v := range []shape{nil, &square{3}, circle{&n}, named("shape"), count(4), one{&point{7, 8}}} {
		shapes(v)
	}
	inside([]shape{named("a"), count(2)}, map[string]interface{}{"x": 1, "y": "z", "p": point{1, 2}}, point{9, 9})
}

func main() {
	c := make(chan int, 3)
	c <- 1
	full := make(chan string, 2)
	full <- "a"
	full <- "b"
	channels(c, full, make(chan struct{}), nil)
	callFunctions(3)
	n := int32(11)
	others(unsafe.Pointer(&n), nil, complex(1.5, -2), &sync.Mutex{}, &n, struct{}{}, [0]int{})
	callMaps()
	callInterfaces()
	callErrors()
	callTimes()
	fails(&stackError{errors.New("embedded"), 1})
	out.Flush()
}
