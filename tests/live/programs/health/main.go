// SPDX-License-Identifier: Apache-2.0

// A gRPC server and its clients in one program, or each alone, on grpc's own health service (a unary and a streaming
// method), which every version of grpc-go brings along.
//
//	health [-listen ADDRESS] [-tls] [-call ADDRESS -n N -workers W -watch N]
//
// Prints the address it listens on, and when all is done how many calls it made, by status. Its connection stays open until it ends.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"sort"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var (
	mu     sync.Mutex
	counts = map[string]int{}
)

func count(what string, err error) {
	mu.Lock()
	counts[what+" "+status.Code(err).String()]++
	mu.Unlock()
}

func call(client healthpb.HealthClient, worker, n int) {
	for i := 0; i < n; i++ {
		service := ""
		if i%7 == 3 {
			service = "nobody" // NotFound
		}
		ctx := metadata.AppendToOutgoingContext(context.Background(), "x-worker", fmt.Sprint(worker), "authorization", "Bearer s3cret")
		_, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
		count("Check", err)
	}
}

func watch(client healthpb.HealthClient) {
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := client.Watch(ctx, &healthpb.HealthCheckRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		panic(err)
	}
	cancel()
	_, err = stream.Recv()
	count("Watch", err)
}

// TLS with a certificate made for this run, or without.
func security(wanted bool) (server, client credentials.TransportCredentials) {
	if !wanted {
		return insecure.NewCredentials(), insecure.NewCredentials()
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	own := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{own}}), credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
}

func main() {
	listen := flag.String("listen", "", "serve on this address")
	address := flag.String("call", "", "call this address")
	n := flag.Int("n", 0, "calls of each worker")
	workers := flag.Int("workers", 1, "that call at the same time")
	watches := flag.Int("watch", 0, "streaming calls, which the client cancels")
	secure := flag.Bool("tls", false, "over TLS")
	flag.Parse()
	server, client := security(*secure)
	if *listen != "" {
		l, err := net.Listen("tcp", *listen)
		if err != nil {
			panic(err)
		}
		s := grpc.NewServer(grpc.Creds(server))
		healthpb.RegisterHealthServer(s, health.NewServer())
		go s.Serve(l)
		fmt.Println(l.Addr())
	}
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	if *address != "" {
		conn, err := grpc.Dial(*address, grpc.WithTransportCredentials(client), grpc.WithBlock())
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		client := healthpb.NewHealthClient(conn)
		var wg sync.WaitGroup
		for w := 0; w < *workers; w++ {
			wg.Add(1)
			go func(w int) { defer wg.Done(); call(client, w, *n) }(w)
		}
		wg.Wait()
		for i := 0; i < *watches; i++ {
			watch(client)
		}
	}
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Println(name, counts[name])
	}
	fmt.Println("done")
	in.ReadString('\n')
}
