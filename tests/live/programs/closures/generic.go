// SPDX-License-Identifier: Apache-2.0

//go:build go1.18
// +build go1.18

package main

import "fmt"

func of[T any](v T, n int) func(int) int {
	return func(k int) int { return k + len(fmt.Sprint(v)) + n }
}

func generic() {
	say(object{"v": 5, "n": 31})
	one(of(5, 31))
	say(object{"v": Point{1, 2}, "n": 32})
	one(of(Point{1, 2}, 32))
	say(object{"v": "text", "n": 33})
	one(of("text", 33))
}
