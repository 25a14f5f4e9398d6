// SPDX-License-Identifier: Apache-2.0

//go:build !go1.24

package main

import "net/http"

func native(s *http.Server) { panic("from Go 1.24 on") }
