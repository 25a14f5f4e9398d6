// SPDX-License-Identifier: Apache-2.0

// Values that people read otherwise than Go keeps them: errors, URLs, addresses. It prints what Error or String says of each, and whether
// the tracer is to say the same: {"func":…,"text":…,"told":…}, a line each.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

var sink int

func say(name, text string, told bool) {
	line, err := json.Marshal(map[string]interface{}{"func": "main." + name, "text": text, "told": told})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

//go:noinline
func fails(err error) { sink++ }

//go:noinline
func urls(u *url.URL) { sink += 2 }

//go:noinline
func untold(err error, u *url.URL) { sink += 3 }

func fail(err error) {
	say("fails", err.Error(), true)
	fails(err)
}

func location(text string) {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	say("urls", u.String(), true)
	urls(u)
}

func callErrors() {
	_, number := strconv.Atoi("twelve")
	fail(number)
	_, large := strconv.ParseInt("99999999999999999999", 10, 64)
	fail(large)
	_, quoted := strconv.ParseBool("a\"b\\c\x00\t\n\x1f")
	fail(quoted)
	_, parsed := url.Parse("http://[::1")
	fail(parsed)
	_, got := http.Get("http://127.0.0.1:1/path?q=1")
	fail(got)
	fail(fmt.Errorf("asked: %w", got))
	_, looked := exec.LookPath("no such program")
	fail(looked)
	fail(&net.DNSError{Err: "no such host", Name: "nowhere.invalid", Server: "127.0.0.1:53"})
	fail(&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "nowhere.invalid"}})
	fail(&net.AddrError{Err: "missing port in address", Addr: "host"})
	fail(&net.AddrError{Err: "mismatched local address type"})
	fail(&net.ParseError{Type: "IP address", Text: "1.2.3"})
	fail(&os.PathError{Op: "open", Path: "/x", Err: &os.SyscallError{Syscall: "openat", Err: syscall.EACCES}})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	listener.(*net.TCPListener).SetDeadline(time.Now().Add(-time.Second))
	_, late := listener.Accept()
	fail(late)
	listener.Close()
	_, closed := listener.Accept()
	_ = closed
	fail(joined(io.ErrUnexpectedEOF, number, syscall.ENOENT))
	fail(both(io.EOF, looked))
	deep := errors.New("the bottom")
	for i := 0; i < 12; i++ {
		deep = fmt.Errorf("level %d: %w", i, deep)
	}
	fail(deep)
}

func callURLs() {
	for _, text := range []string{"http://example.com/a/b?q=1&r=2#frag", "https://example.com", "/just/a/path", "relative/path", "", "*",
		"http://example.com/a b", "http://example.com/gr%C3%B6%C3%9Fe", "http://example.com/a%2Fb", "mailto:someone@example.com",
		"http://[2001:db8::1]:8080/x", "//host/path", "./a:b", "http://example.com?", "http://example.com/%41", "file:///etc/hosts",
		"http://example.com/x#a%2Fb!(c)'", "http://example.com/a;b,c@d:e&f=g+h$", "/path'with(all)*!", "http://host:80"} {
		location(text)
	}
	say("urls", (&url.URL{Path: "a:b/c"}).String(), true)
	urls(&url.URL{Path: "a:b/c"})
	say("urls", (&url.URL{Scheme: "http", Host: "h", Path: "no/slash"}).String(), true)
	urls(&url.URL{Scheme: "http", Host: "h", Path: "no/slash"})
	say("urls", (&url.URL{Path: "/a b", RawPath: "/other"}).String(), true) // a form that stands for something else
	urls(&url.URL{Path: "/a b", RawPath: "/other"})
}

func main() {
	callErrors()
	callURLs()
	callAddresses()
	secret, _ := url.Parse("http://name:secret@example.com/")
	_, unicode := strconv.Atoi("größe")
	say("untold", unicode.Error(), false)
	untold(unicode, secret)
}
