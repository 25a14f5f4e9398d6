// SPDX-License-Identifier: Apache-2.0

// Two services for `make demo-services`: `stock` answers gRPC calls, `front` answers HTTP requests by asking stock.
//
//	services stock ADDRESS
//	services front ADDRESS STOCK_ADDRESS
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func listen(address string) net.Listener {
	l, err := net.Listen("tcp", address)
	fail(err)
	fmt.Println("listening on", l.Addr())
	return l
}

func stock(address string) {
	checks := health.NewServer()
	checks.SetServingStatus("pencils", healthpb.HealthCheckResponse_SERVING)
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, checks)
	fail(s.Serve(listen(address)))
}

func front(address, of string) {
	conn, err := grpc.Dial(of, grpc.WithTransportCredentials(insecure.NewCredentials()))
	fail(err)
	client := healthpb.NewHealthClient(conn)
	http.HandleFunc("/stock/", func(w http.ResponseWriter, r *http.Request) {
		what := strings.TrimPrefix(r.URL.Path, "/stock/")
		ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer of bad news")
		answer, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: what})
		if err != nil {
			http.Error(w, status.Convert(err).Message(), http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, "%s: %s\n", what, answer.Status)
	})
	fail(http.Serve(listen(address), nil))
}

func main() {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "stock":
		stock(os.Args[2])
	case len(os.Args) == 4 && os.Args[1] == "front":
		front(os.Args[2], os.Args[3])
	default:
		fmt.Fprintln(os.Stderr, "usage: services stock ADDRESS | services front ADDRESS STOCK_ADDRESS")
		os.Exit(2)
	}
}
