// SPDX-License-Identifier: Apache-2.0

// Types of the standard library that are shown in the form people read, or that stand for something outside.
package main

import (
	"bytes"
	"context"
	"math/big"
	"net"
	"net/url"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// Spoken gives the form that people read.
func spoken(v reflect.Value) (text string, ok bool) {
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String(), true
	case time.Time:
		return x.Format(time.RFC3339Nano), true
	case net.IP:
		return x.String(), x != nil
	case url.URL:
		return x.String(), true
	}
	return spokenSince(v)
}

//go:noinline
func zDuration(d time.Duration, p *time.Duration) (*time.Duration, time.Duration) { return p, d }

//go:noinline
func zTime(a time.Time, p *time.Time) (*time.Time, time.Time) { return p, a }

//go:noinline
func zIP(a net.IP, n *net.IPNet) (*net.IPNet, net.IP) { return n, a }

//go:noinline
func zAddr(a net.Addr, u *net.UDPAddr) (*net.UDPAddr, net.Addr) { return u, a }

//go:noinline
func zURL(u *url.URL) *url.URL { return u }

//go:noinline
func zContext(ctx context.Context, n int) (int, context.Context) { return n, ctx }

//go:noinline
func zMutex(m *sync.Mutex, rw *sync.RWMutex, once *sync.Once) (*sync.Once, *sync.RWMutex) {
	return once, rw
}

//go:noinline
func zAtomic(v *atomic.Value, n *int64) *atomic.Value { return v }

//go:noinline
func zBuffer(b *bytes.Buffer) *bytes.Buffer { return b }

//go:noinline
func zBig(b *big.Int, f *big.Float) (*big.Float, *big.Int) { return f, b }

func init() {
	add("zDuration", func(t *trial) {
		var d time.Duration
		var p *time.Duration
		t.in("d p", &d, &p)
		r0, r1 := zDuration(d, p)
		t.out("", &r0, &r1)
	})
	add("zTime", func(t *trial) {
		all := []time.Time{{}, time.Unix(1600000000, 123456789).UTC(), time.Unix(0, 0).In(time.FixedZone("X", 3600)), time.Date(1885, 2, 3, 4, 5, 6, 7, time.UTC),
			time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Now(), time.Now().UTC()}
		a, p := all[t.round%len(all)], &all[(t.round+1)%len(all)]
		t.enter("a p", &a, &p)
		r0, r1 := zTime(a, p)
		t.out("", &r0, &r1)
	})
	add("zIP", func(t *trial) {
		_, network, err := net.ParseCIDR("10.11.0.0/16")
		if err != nil {
			panic(err)
		}
		for _, a := range []net.IP{nil, {}, net.IPv4(192, 0, 2, 1), net.IPv4(192, 0, 2, 1).To4(), net.ParseIP("2001:db8::1"), net.IPv6loopback, {1, 2, 3}} {
			a := a
			t.enter("a n", &a, &network)
			r0, r1 := zIP(a, network)
			t.out("", &r0, &r1)
		}
	})
	add("zAddr", func(t *trial) {
		u := &net.UDPAddr{IP: net.IPv4(198, 51, 100, 7), Port: 53, Zone: "eth0"}
		for _, a := range []net.Addr{nil, u, &net.TCPAddr{IP: net.IPv6loopback, Port: 443}, &net.UnixAddr{Name: "/run/zoo", Net: "unix"}} {
			a := a
			t.enter("a u", &a, &u)
			r0, r1 := zAddr(a, u)
			t.out("", &r0, &r1)
		}
	})
	add("zURL", func(t *trial) {
		u, err := url.Parse("https://user:secret@example.com:8443/a/b%2fc?q=1&r=%20#end")
		if err != nil {
			panic(err)
		}
		plain, err := url.Parse("http://example.com/gr%C3%B6%C3%9Fe/a b/c%2Fd;e?q=1#end (of it)")
		if err != nil {
			panic(err)
		}
		for _, u := range []*url.URL{u, plain, {Path: "a:b"}, {}, {Scheme: "mailto", Opaque: "someone@example.com"}} {
			u := u
			t.enter("u", &u)
			r0 := zURL(u)
			t.out("", &r0)
		}
	})
	add("zContext", func(t *trial) {
		cancellable, cancel := context.WithCancel(context.Background())
		defer cancel()
		valued := context.WithValue(cancellable, zName("key"), zPoint{2, 3})
		for _, ctx := range []context.Context{nil, context.Background(), context.TODO(), cancellable, valued} {
			ctx, n := ctx, t.round
			t.enter("ctx n", &ctx, &n)
			r0, r1 := zContext(ctx, n)
			t.out("", &r0, &r1)
		}
	})
	add("zMutex", func(t *trial) {
		m, rw, once := new(sync.Mutex), new(sync.RWMutex), new(sync.Once)
		if t.round%2 == 1 {
			m.Lock()
			rw.RLock()
			once.Do(func() {})
		}
		t.enter("m rw once", &m, &rw, &once)
		r0, r1 := zMutex(m, rw, once)
		t.out("", &r0, &r1)
	})
	add("zAtomic", func(t *trial) {
		v, n := new(atomic.Value), new(int64)
		if t.round > 0 {
			v.Store(zPoint{t.round, -1})
			atomic.AddInt64(n, int64(t.integer()))
		}
		t.enter("v n", &v, &n)
		r0 := zAtomic(v, n)
		t.out("", &r0)
	})
	add("zBuffer", func(t *trial) {
		b := bytes.NewBufferString(t.text())
		t.enter("b", &b)
		r0 := zBuffer(b)
		t.out("", &r0)
	})
	add("zBig", func(t *trial) {
		b, f := new(big.Int).Exp(big.NewInt(-7), big.NewInt(int64(50*t.round+1)), nil), big.NewFloat(float64(t.round)/3)
		t.enter("b f", &b, &f)
		r0, r1 := zBig(b, f)
		t.out("", &r0, &r1)
	})
}
