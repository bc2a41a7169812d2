// SPDX-License-Identifier: Apache-2.0

// Command hello is the HTTP server behind the Services of demos and tests: it says which pod answered and whom it answered.
//
// It uses the standard library only, knows nothing of Kubernetes, and ends cleanly on SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// drain is how long open requests may take after the signal to stop.
const drain = 5 * time.Second

func main() {
	listen := flag.String("listen", ":8080", "address and port to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, *listen); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

// run serves until the context ends and open requests are answered.
func run(ctx context.Context, listen string) error {
	hostname, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("reading the host name: %w", err)
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	server := &http.Server{Handler: handler(hostname), ReadHeaderTimeout: drain}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	shutdown := server.Shutdown(bounded)
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	if shutdown != nil {
		return fmt.Errorf("stopping: %w", shutdown)
	}
	return nil
}

// handler answers GET / with the host name, the local address of the connection and the address it came from.
func handler(hostname string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "Hello from %s\nserver: %v\nclient: %s\n", hostname, r.Context().Value(http.LocalAddrContextKey), r.RemoteAddr)
	})
	return mux
}
