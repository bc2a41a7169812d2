// SPDX-License-Identifier: Apache-2.0

package metricsauth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
)

// served returns the filter in front of a page, and the log lines that it writes.
func served(t *testing.T, r reviewer, now func() time.Time) (http.Handler, *[]string) {
	t.Helper()
	var lines []string
	log := funcr.New(func(prefix, args string) { lines = append(lines, prefix+args) }, funcr.Options{Verbosity: 10})
	return page(t, r, now, log), &lines
}

func page(t *testing.T, r reviewer, now func() time.Time, log logr.Logger) http.Handler {
	t.Helper()
	h, err := filter(r, now)(log, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") }))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// get asks for the metrics and returns the answer.
func get(ctx context.Context, h http.Handler, method, authorization string) *httptest.ResponseRecorder {
	request := httptest.NewRequestWithContext(ctx, method, "/metrics", nil)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request)
	return w
}

func TestAnswersToRequests(t *testing.T) {
	tests := []struct {
		name, method, authorization string
		code                        int
		text                        string
	}{
		{"a reader", "GET", "Bearer reader", 200, "metrics"},
		{"the scheme has no case", "GET", "bearer  reader ", 200, "metrics"},
		{"a user without permission", "GET", "Bearer guest", 403, "guest may not get /metrics; bind it to the ClusterRole metallb-metrics-reader"},
		{"no token", "GET", "", 401, "Authorization: Bearer TOKEN"},
		{"an empty token", "GET", "Bearer ", 401, "Authorization: Bearer TOKEN"},
		{"another scheme", "GET", "Basic cmVhZGVyOg==", 401, "Authorization: Bearer TOKEN"},
		{"a token that nobody knows", "GET", "Bearer garbage", 401, "does not accept this token"},
		{"another method", "POST", "Bearer reader", 405, "GET"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, lines := served(t, &apiServer{}, time.Now)
			w := get(t.Context(), h, test.method, test.authorization)
			if w.Code != test.code || !strings.Contains(w.Body.String(), test.text) {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, test.code, test.text)
			}
			if challenge := w.Header().Get("WWW-Authenticate"); (challenge == "Bearer") != (w.Code == 401) {
				t.Errorf("the challenge is %q", challenge)
			}
			if len(*lines) != 0 {
				t.Errorf("logged %q: callers could fill the log", *lines)
			}
		})
	}
}

func TestAFloodIsAnsweredTooManyRequests(t *testing.T) {
	h, lines := served(t, &apiServer{}, time.Now)
	last := 0
	for i := range 100 {
		last = get(t.Context(), h, "GET", "Bearer "+garbage(i)).Code
	}
	if last != 429 || len(*lines) != 0 {
		t.Errorf("got %d, logged %q", last, *lines)
	}
}

func TestAFailureIsLoggedOnceInAWhileAndWithoutToken(t *testing.T) {
	now := time.Unix(0, 0)
	h, lines := served(t, &apiServer{away: errors.New("connection refused")}, func() time.Time { return now })
	for range 120 { // two minutes
		if w := get(t.Context(), h, "GET", "Bearer reader"); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Fatalf("got %d", w.Code)
		}
		now = now.Add(time.Second)
	}
	if len(*lines) != 2 || !strings.Contains((*lines)[0], "connection refused") || strings.Contains(strings.Join(*lines, ""), "reader") {
		t.Errorf("logged %q, want the error once a minute and no token", *lines)
	}
}

func TestATokenBehindReviewsThatHangIsAnswered503AndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, lines := served(t, &apiServer{hold: make(chan struct{})}, time.Now)
		codes := make(chan int)
		for i := range concurrentUnknown + 1 {
			go func() { codes <- get(t.Context(), h, "GET", "Bearer "+garbage(i)).Code }()
		}
		for range concurrentUnknown + 1 {
			if code := <-codes; code != 503 {
				t.Errorf("got %d, want 503", code)
			}
		}
		if len(*lines) != 1 || !strings.Contains((*lines)[0], "deadline exceeded") {
			t.Errorf("logged %q", *lines)
		}
	})
}

func TestARequestThatEndsIsNoFailure(t *testing.T) {
	h, lines := served(t, &apiServer{hold: make(chan struct{})}, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	get(ctx, h, "GET", "Bearer garbage")
	if len(*lines) != 0 {
		t.Errorf("logged %q", *lines)
	}
}
