// SPDX-License-Identifier: Apache-2.0

// A net/http server, HTTP/1 and HTTP/2 (with a certificate made for the run), and a load on it from its own client.
//
//	web [-n N] [-workers W] [-rate R] [-http2] [-addr ADDRESS] [-to ADDRESS]
//
// Prints the address; after a line on its standard input it sends N requests from each of W workers (R a second in all),
// and prints what it got. Its own handlers count too: that is what spans are held against.
package main

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sort"
	"sync"
	"time"
)

var (
	mu     sync.Mutex
	served = map[string]int{}
)

func handled(pattern string, status int, what func(w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		served[fmt.Sprintf("%s %s %d", r.Method, pattern, status)]++
		mu.Unlock()
		what(w, r)
	}
}

func write(status int) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if status != 200 {
			w.WriteHeader(status)
		}
		fmt.Fprintln(w, "hello")
	}
}

func mux() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("/ok", handled("/ok", 200, write(200)))
	m.HandleFunc("/fail/", handled("/fail/", 503, write(503)))
	m.HandleFunc("/panic", handled("/panic", 0, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	m.HandleFunc("/hijack", handled("/hijack", 101, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n")
		conn.Close()
	}))
	// answers once a goroutine that it makes has the answer to a request of its own
	m.HandleFunc("/fan", handled("/fan", 200, func(w http.ResponseWriter, r *http.Request) {
		done := make(chan bool)
		go func() {
			get(http.DefaultClient, fmt.Sprintf("http://%s/ok", r.Context().Value(http.LocalAddrContextKey)))
			done <- true
		}()
		<-done
	}))
	m.HandleFunc("/slow", handled("/slow", 200, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
		}
	}))
	return m
}

func get(client *http.Client, url string) {
	resp, err := client.Get(url)
	if err != nil {
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

func load(client *http.Client, base string, n, workers, rate int) {
	var wg sync.WaitGroup
	start := time.Now()
	for w := 0; w < workers; w++ {
		wg.Add(1)
		go func(w int) {
			defer wg.Done()
			for i := 0; i < n; i++ {
				if rate > 0 {
					due := start.Add(time.Duration(i*workers+w) * time.Second / time.Duration(rate))
					time.Sleep(time.Until(due))
				}
				path := "/ok"
				if i%7 == 3 {
					path = fmt.Sprintf("/fail/%d", i)
				}
				get(client, base+path+"?secret=1")
			}
		}(w)
	}
	wg.Wait()
	fmt.Printf("sent %d in %.2f s\n", n*workers, time.Since(start).Seconds())
}

func main() {
	n := flag.Int("n", 0, "requests of each worker")
	workers := flag.Int("workers", 1, "that send at the same time")
	rate := flag.Int("rate", 0, "requests a second of all together; 0: as fast as it goes")
	http2 := flag.Bool("http2", false, "HTTP/2, over TLS")
	to := flag.String("to", "", "send to this address (HTTP/1) instead of to itself")
	address := flag.String("addr", "127.0.0.1:0", "where it listens")
	flag.Parse()
	l, err := net.Listen("tcp", *address)
	if err != nil {
		panic(err)
	}
	s := httptest.NewUnstartedServer(mux())
	s.Listener.Close()
	s.Listener = l
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: *workers}}
	if *http2 {
		s.EnableHTTP2 = true
		s.StartTLS()
		client = s.Client()
		client.Transport.(*http.Transport).TLSClientConfig.NextProtos = []string{"h2"}
		_ = tls.VersionTLS13
	} else {
		s.Start()
	}
	fmt.Println(l.Addr())
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	base := s.URL
	if *to != "" {
		base = "http://" + *to
	}
	load(client, base, *n, *workers, *rate)
	in.ReadString('\n')
	mu.Lock()
	var names []string
	for name := range served {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Println(name, served[name])
	}
	mu.Unlock()
	fmt.Println("done")
	in.ReadString('\n')
}
