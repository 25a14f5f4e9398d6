// SPDX-License-Identifier: Apache-2.0

//go:build go1.20
// +build go1.20

package main

import (
	"errors"
	"fmt"
)

func joined(errs ...error) error { return errors.Join(errs...) }

func both(a, b error) error { return fmt.Errorf("both: %w and %w", a, b) }
