// SPDX-License-Identifier: Apache-2.0

// Untouched calls a function with text from the middle of a large constant that nothing has read: its pages are in the file and not in memory.
// The constant is in a file that the test makes (guest.py). It says "ready", waits for a line on stdin, calls, prints the text, calls again,
// and ends when stdin does.
package main

import (
	"bufio"
	"fmt"
	"os"
)

//go:noinline
func show(s string, n int) int {
	return len(s) + n
}

func main() {
	fmt.Println("ready")
	stdin := bufio.NewReader(os.Stdin)
	stdin.ReadString('\n')
	// Not a constant for the compiler, which would else make a small string of its own.
	at := len(constant)/2 + len(os.Args) - 1
	s := constant[at : at+23]
	show(s, 1)
	fmt.Println(s)
	show(s, 2)
	fmt.Println("called")
	stdin.ReadString('\n')
}
