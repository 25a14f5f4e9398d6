// SPDX-License-Identifier: Apache-2.0

//go:build go1.18
// +build go1.18

package main

import "net/netip"

//go:noinline
func addr(a netip.Addr) { sink += 4 }

//go:noinline
func port(p netip.AddrPort) { sink += 5 }

func callAddresses() {
	say("addr", netip.Addr{}.String(), true)
	addr(netip.Addr{})
	say("port", netip.AddrPort{}.String(), true)
	port(netip.AddrPort{})
	for _, text := range []string{"1.2.3.4", "0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::1", "1:0:0:2:0:0:0:3", "::ffff:1.2.3.4",
		"fe80::1%eth0", "::ffff:1.2.3.4%zone", "1:2:3:4:5:6:7:8", "::1.2.3.4"} {
		a := netip.MustParseAddr(text)
		told := newHandles || (!a.Is4() && !a.Is4In6() && a.Zone() == "")
		say("addr", a.String(), told)
		addr(a)
		p := netip.AddrPortFrom(a, 65535)
		say("port", p.String(), told)
		port(p)
	}
}
