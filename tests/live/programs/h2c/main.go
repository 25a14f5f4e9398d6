// SPDX-License-Identifier: Apache-2.0

// HTTP/2 without TLS, served by golang.org/x/net/http2 (or, with -native, by net/http itself, from Go 1.24 on), and its own client.
//
//	h2c [-native] [-n N] [-cancel N]
//
// Prints its address; after a line on its standard input it sends N requests, and some that it cancels when their handlers have begun,
// which resets their streams; after another line it says what its handlers have counted.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

var (
	mu      sync.Mutex
	counts  = map[string]int{}
	waiting = make(chan bool, 1000)
)

func count(what string) {
	mu.Lock()
	counts[what]++
	mu.Unlock()
}

func handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		count("/ok")
		io.WriteString(w, "hello")
	})
	m.HandleFunc("/fail", func(w http.ResponseWriter, r *http.Request) {
		count("/fail")
		w.WriteHeader(503)
	})
	m.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) {
		count("/panic")
		panic("on purpose")
	})
	m.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		count("/slow")
		waiting <- true
		<-r.Context().Done()
	})
	return m
}

func get(client *http.Client, url string) {
	resp, err := client.Get(url)
	if err == nil {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

func cancelled(client *http.Client, url string) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-waiting
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		panic(err)
	}
	if _, err := client.Do(req); err == nil {
		panic("a cancelled request has an answer")
	}
}

func main() {
	own := flag.Bool("native", false, "net/http's own")
	n := flag.Int("n", 0, "requests to /ok; as many to /fail and to /panic are sent for each ten")
	cancel := flag.Int("cancel", 0, "requests that are cancelled")
	flag.Parse()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := &http.Server{Handler: handler(), ErrorLog: log.New(io.Discard, "", 0)}
	if *own {
		native(s)
	} else {
		s.Handler = h2c.NewHandler(s.Handler, &http2.Server{})
	}
	go s.Serve(l)
	fmt.Println(l.Addr())
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	client := &http.Client{Transport: &http2.Transport{
		AllowHTTP: true,
		DialTLS:   func(network, addr string, _ *tls.Config) (net.Conn, error) { return net.Dial(network, addr) },
	}}
	url := "http://" + l.Addr().String()
	for i := 0; i < *n; i++ {
		get(client, url+"/ok")
		if i%10 == 3 {
			get(client, url+"/fail")
			get(client, url+"/panic")
		}
	}
	for i := 0; i < *cancel; i++ {
		cancelled(client, url+"/slow")
	}
	fmt.Println("sent")
	in.ReadString('\n')
	mu.Lock()
	for _, path := range []string{"/fail", "/ok", "/panic", "/slow"} {
		fmt.Println(path, counts[path])
	}
	mu.Unlock()
	fmt.Println("done")
	in.ReadString('\n')
}
