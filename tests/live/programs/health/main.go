// SPDX-License-Identifier: Apache-2.0

// A gRPC server and its clients in one program, or each alone, on grpc's own health service (a unary and a streaming
// method), which every version of grpc-go brings along.
//
//	health [-listen ADDRESS] [-call ADDRESS -n N -workers W -watch N]
//
// Prints the address it listens on, and at its end how many calls it made, by status.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"sort"
	"sync"

	"google.golang.org/grpc"
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

func main() {
	listen := flag.String("listen", "", "serve on this address")
	address := flag.String("call", "", "call this address")
	n := flag.Int("n", 0, "calls of each worker")
	workers := flag.Int("workers", 1, "that call at the same time")
	watches := flag.Int("watch", 0, "streaming calls, which the client cancels")
	flag.Parse()
	if *listen != "" {
		l, err := net.Listen("tcp", *listen)
		if err != nil {
			panic(err)
		}
		s := grpc.NewServer()
		healthpb.RegisterHealthServer(s, health.NewServer())
		go s.Serve(l)
		fmt.Println(l.Addr())
	}
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	if *address != "" {
		conn, err := grpc.Dial(*address, grpc.WithInsecure(), grpc.WithBlock())
		if err != nil {
			panic(err)
		}
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
		conn.Close()
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
