// SPDX-License-Identifier: Apache-2.0

//go:build go1.20
// +build go1.20

package main

import (
	"errors"
	"fmt"
	"io"
)

func moreErrors(base error) []error {
	return []error{errors.Join(base, io.EOF), fmt.Errorf("both: %w and %w", base, io.EOF)}
}
