// SPDX-License-Identifier: Apache-2.0

//go:build go1.18
// +build go1.18

package main

import (
	"net/netip"
	"reflect"
)

func spokenSince(v reflect.Value) (text string, ok bool) {
	switch x := v.Interface().(type) {
	case netip.Addr:
		return x.String(), true
	case netip.AddrPort:
		return x.String(), true
	}
	return "", false
}

//go:noinline
func zNetip(a netip.Addr, p *netip.AddrPort) (*netip.AddrPort, netip.Addr) { return p, a }

func init() {
	add("zNetip", func(t *trial) {
		for _, a := range []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1:0"), netip.MustParseAddr("::ffff:192.0.2.1"),
			netip.MustParseAddr("fe80::1%eth0")} {
			a := a
			port := netip.AddrPortFrom(a, uint16(t.round))
			p := &port
			t.enter("a p", &a, &p)
			r0, r1 := zNetip(a, p)
			t.out("", &r0, &r1)
		}
	})
}
