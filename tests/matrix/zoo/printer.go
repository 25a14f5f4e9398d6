// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"reflect"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"unsafe"
)

// Values in the tracer's format, by reflection. Strings and lists are written whole and pointers followed further than the tracer is asked
// to: what it leaves out must fit its remarks. A float always has a point or an exponent, which is the same number.
type printer struct {
	depth   int
	text    string
	remarks []string
	maps    []string // their paths: in JSON a map can look like a struct or a list
}

// A path is an expression, without the dereferences that are outermost.
type path struct {
	text  string
	stars int
}

func (p path) String() string { return strings.Repeat("*", p.stars) + p.text }

func (p path) base() string {
	if p.stars > 0 {
		return "(" + p.String() + ")"
	}
	return p.text
}

func (p path) deref() path { return path{p.text, p.stars + 1} }

func (p path) field(name string) path {
	if p.stars > 0 { // one dereference needs no star before a field
		p.stars--
	}
	return path{text: p.base() + "." + name}
}

func (p path) index(text string) path { return path{text: p.base() + "[" + text + "]"} }

// The word of a func value, as it lies in memory: the address of its closure.
func word(v reflect.Value) uintptr { return *(*uintptr)(unsafe.Pointer(v.UnsafeAddr())) }

func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Member appends `"name":value`. v is a pointer to the variable.
func (p *printer) member(name string, v interface{}) {
	if p.text != "" {
		p.text += ","
	}
	p.text += quote(name) + ":" + p.value(reflect.ValueOf(v).Elem(), path{text: name}, p.depth)
}

func (p *printer) remark(at path, text string) {
	p.remarks = append(p.remarks, quote(at.String())+":["+quote(text)+"]")
}

func float(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return `"NaN"`
	case math.IsInf(f, 1):
		return `"+Inf"`
	case math.IsInf(f, -1):
		return `"-Inf"`
	}
	s := strconv.FormatFloat(f, 'g', -1, bits)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

func hex(v uintptr) string { return fmt.Sprintf(`"0x%x"`, v) }

// Value gives the text of an addressable value. hops: how many pointers are followed from here.
func (p *printer) value(v reflect.Value, at path, hops int) string {
	text := p.plain(v, at, hops)
	if said, ok := spoken(v); ok {
		return `{"value":` + text + `,"text":` + quote(said) + `}`
	}
	return text
}

func (p *printer) plain(v reflect.Value, at path, hops int) string {
	switch v.Kind() {
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.FormatUint(v.Uint(), 10)
	case reflect.Float32:
		return float(v.Float(), 32)
	case reflect.Float64:
		return float(v.Float(), 64)
	case reflect.Complex64:
		return "[" + float(real(v.Complex()), 32) + "," + float(imag(v.Complex()), 32) + "]"
	case reflect.Complex128:
		return "[" + float(real(v.Complex()), 64) + "," + float(imag(v.Complex()), 64) + "]"
	case reflect.String:
		return p.str(v.String(), at)
	case reflect.Array, reflect.Slice:
		return p.list(v, at, hops)
	case reflect.Struct:
		return p.structure(v, at, hops)
	case reflect.Map:
		return p.mapping(v, at, hops)
	case reflect.Ptr:
		return p.pointer(v, at, hops)
	case reflect.UnsafePointer:
		if v.Pointer() == 0 {
			return "null"
		}
		return `{"ptr":` + hex(v.Pointer()) + `}`
	case reflect.Chan:
		if v.IsNil() {
			return "null"
		}
		return fmt.Sprintf(`{"ptr":%s,"len":%d,"cap":%d}`, hex(v.Pointer()), v.Len(), v.Cap())
	case reflect.Func:
		if v.IsNil() {
			return "null"
		}
		return fmt.Sprintf(`{"ptr":%s,"func":%s}`, hex(word(v)), quote(runtime.FuncForPC(v.Pointer()).Name()))
	case reflect.Interface:
		return p.dynamic(v, at, hops)
	}
	panic("a value of kind " + v.Kind().String())
}

func (p *printer) str(s string, at path) string {
	if !validUTF8(s) {
		p.remark(at, fmt.Sprintf("bytes: %x", s))
	}
	return quote(s)
}

func validUTF8(s string) bool { return strings.ToValidUTF8(s, "") == s }

func (p *printer) list(v reflect.Value, at path, hops int) string {
	if v.Kind() == reflect.Slice && v.IsNil() {
		return "null"
	}
	items := make([]string, v.Len())
	for i := range items {
		items[i] = p.value(v.Index(i), at.index(strconv.Itoa(i)), hops)
	}
	return "[" + strings.Join(items, ",") + "]"
}

func (p *printer) structure(v reflect.Value, at path, hops int) string {
	var fields []string
	for i := 0; i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; name != "_" {
			fields = append(fields, quote(name)+":"+p.value(open(v.Field(i)), at.field(name), hops))
		}
	}
	return "{" + strings.Join(fields, ",") + "}"
}

// A copy can be addressed, which the values in a map or an interface cannot be.
func addressable(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

// An object where the keys are strings, integers or bools that differ as text; else pairs, in order of their text.
func (p *printer) mapping(v reflect.Value, at path, hops int) string {
	if v.IsNil() {
		return "null"
	}
	p.maps = append(p.maps, quote(at.String()))
	var pairs, members []string
	seen := map[string]bool{}
	object := true
	switch v.Type().Key().Kind() {
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128, reflect.Array, reflect.Struct, reflect.Ptr,
		reflect.Interface, reflect.Chan, reflect.UnsafePointer:
		object = false
	}
	for it := v.MapRange(); it.Next(); {
		key := addressable(it.Key())
		inner := printer{depth: p.depth}
		k := inner.value(key, at, hops)
		name := k
		if key.Kind() != reflect.String {
			name = quote(k)
		}
		elem := p.value(addressable(it.Value()), at.index(k), hops)
		object = object && !seen[name]
		seen[name] = true
		members = append(members, name+":"+elem)
		pairs = append(pairs, "["+k+","+elem+"]")
	}
	if object {
		sort.Strings(members)
		return "{" + strings.Join(members, ",") + "}"
	}
	sort.Strings(pairs)
	return "[" + strings.Join(pairs, ",") + "]"
}

func (p *printer) pointer(v reflect.Value, at path, hops int) string {
	if v.IsNil() {
		return "null"
	}
	if hops == 0 {
		return `{"ptr":` + hex(v.Pointer()) + `}`
	}
	return `{"ptr":` + hex(v.Pointer()) + `,"to":` + p.value(v.Elem(), at.deref(), hops-1) + `}`
}

func (p *printer) dynamic(v reflect.Value, at path, hops int) string {
	if v.IsNil() {
		return "null"
	}
	inside := addressable(v.Elem())
	name := typeName(inside.Type())
	text := `{"type":` + quote(name) + `,"value":` + p.plain(inside, path{text: at.base() + ".(" + name + ")"}, hops)
	if said, ok := spoken(inside); ok {
		text += `,"text":` + quote(said)
	} else if err, ok := inside.Interface().(error); ok {
		if said, ok := errorText(err); ok {
			text += `,"text":` + quote(said)
		}
	} else if addr, ok := inside.Interface().(net.Addr); ok {
		text += `,"text":` + quote(addr.String())
	}
	return text + "}"
}

func errorText(err error) (text string, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return err.Error(), true
}

// TypeName gives the name with whole package paths, as the linker and DWARF write it.
func typeName(t reflect.Type) string {
	if t.Name() != "" {
		if t.PkgPath() == "" {
			return t.Name()
		}
		return t.PkgPath() + "." + t.Name()
	}
	switch t.Kind() {
	case reflect.Ptr:
		return "*" + typeName(t.Elem())
	case reflect.Slice:
		return "[]" + typeName(t.Elem())
	case reflect.Array:
		return "[" + strconv.Itoa(t.Len()) + "]" + typeName(t.Elem())
	case reflect.Map:
		return "map[" + typeName(t.Key()) + "]" + typeName(t.Elem())
	}
	return t.String()
}
