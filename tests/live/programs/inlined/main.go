// SPDX-License-Identifier: Apache-2.0

// Inlined has a function that exists only as inlined copies.
package main

import (
	"fmt"
	"os"
)

//go:noinline
func called(a int) int { return a + 1 }

func onlyInlined(a int) int { return called(a)*2 + 3 }

//go:noinline
func ebpfDemo(a int) int { return onlyInlined(a) + 1 }

func main() { fmt.Println(ebpfDemo(len(os.Args))) }
