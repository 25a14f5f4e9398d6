// SPDX-License-Identifier: Apache-2.0

// A load on grpc-go's own example server helloworld/greeter_server: calls at a fixed rate, each with a name of its own.
//
//	greetings -to ADDRESS -n N -workers W [-rate R]
//
// Starts after a line on its standard input, sends N calls from each of W workers (R a second in all), and prints how many were answered
// as they should.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/examples/helloworld/helloworld"
)

func main() {
	to := flag.String("to", "", "the server's address")
	n := flag.Int("n", 0, "calls of each worker")
	workers := flag.Int("workers", 1, "that call at the same time")
	rate := flag.Int("rate", 0, "calls a second of all together; 0: as fast as it goes")
	flag.Parse()
	conn, err := grpc.Dial(*to, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithBlock())
	if err != nil {
		panic(err)
	}
	client := pb.NewGreeterClient(conn)
	fmt.Println("connected")
	bufio.NewReader(os.Stdin).ReadString('\n')
	var answered int64
	var wg sync.WaitGroup
	start := time.Now()
	for w := 0; w < *workers; w++ {
		wg.Add(1)
		go func(w int) {
			defer wg.Done()
			for i := 0; i < *n; i++ {
				if *rate > 0 {
					due := start.Add(time.Duration(i**workers+w) * time.Second / time.Duration(*rate))
					time.Sleep(time.Until(due))
				}
				name := fmt.Sprintf("%d-%d", w, i)
				reply, err := client.SayHello(context.Background(), &pb.HelloRequest{Name: name})
				if err == nil && reply.GetMessage() == "Hello "+name {
					atomic.AddInt64(&answered, 1)
				}
			}
		}(w)
	}
	wg.Wait()
	fmt.Printf("answered %d of %d in %.2f s\n", answered, *n**workers, time.Since(start).Seconds())
}
