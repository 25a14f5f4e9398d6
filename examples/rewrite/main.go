// SPDX-License-Identifier: Apache-2.0

// Store is a small HTTP server with a customer of its own, to try `rewrite` on: what its functions return decides what the customer
// gets.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

var charged int

// load finds an article. It never fails by itself.
//
//go:noinline
func load(id int) (name string, err error) {
	if id < 0 {
		return "", io.ErrUnexpectedEOF
	}
	return "article " + strconv.Itoa(id), nil
}

// charge takes money, which a test would rather not.
//
//go:noinline
func charge(cents int) (receipt int, err error) {
	charged += cents
	return 1000 + cents, nil
}

func buy(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.FormValue("id"))
	name, err := load(id)
	if err != nil {
		http.Error(w, "cannot load: "+err.Error(), http.StatusInternalServerError)
		return
	}
	receipt, err := charge(100 * id)
	if err != nil {
		http.Error(w, "cannot charge: "+err.Error(), http.StatusPaymentRequired)
		return
	}
	fmt.Fprintf(w, "%s, receipt %d\n", name, receipt)
}

func main() {
	n := flag.Int("n", 4, "how often the customer buys")
	pause := flag.Duration("pause", 0, "how long the customer waits between two purchases")
	flag.Parse()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	http.HandleFunc("/buy", buy)
	go http.Serve(listener, nil)
	for id := 1; id <= *n; id++ {
		answer, err := http.Get(fmt.Sprintf("http://%s/buy?id=%d", listener.Addr(), id))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		fmt.Printf("buy %d: %d %s", id, answer.StatusCode, body)
		time.Sleep(*pause)
	}
	fmt.Printf("charged: %d cents\n", charged)
}
