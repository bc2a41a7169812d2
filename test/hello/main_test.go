// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHandler(t *testing.T) {
	for _, row := range []struct {
		name, method, path string
		status             int
		prefix             string
	}{
		{"root", http.MethodGet, "/", http.StatusOK, "Hello from pod-1\n"},
		{"other path", http.MethodGet, "/other", http.StatusNotFound, ""},
		{"other method", http.MethodPost, "/", http.StatusMethodNotAllowed, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			handler("pod-1").ServeHTTP(answer, httptest.NewRequest(row.method, row.path, nil))
			if answer.Code != row.status || !strings.HasPrefix(answer.Body.String(), row.prefix) {
				t.Fatalf("got %d %q, want %d %q", answer.Code, answer.Body, row.status, row.prefix)
			}
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
}

func TestRunRefusesABadAddress(t *testing.T) {
	if err := run(t.Context(), "256.0.0.1:1"); err == nil {
		t.Fatal("want an error")
	}
}
