//go:build go1.20
// +build go1.20

// SPDX-License-Identifier: Apache-2.0

package main

import "errors"

func joined(errs ...error) error { return errors.Join(errs...) }
