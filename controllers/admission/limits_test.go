// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// taken are places of which all are taken, where nobody waits for long.
func taken(places int) turns {
	t := newTurns(places)
	t.patience = time.Millisecond
	for range places {
		t.places <- struct{}{}
	}
	return t
}

func TestTurns(t *testing.T) {
	full := taken(2)
	if full.take(t.Context()) {
		t.Error("a third place of two")
	}
	full.leave()
	if !full.take(t.Context()) {
		t.Error("a place was free")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	full.patience = time.Hour
	if full.take(ended) {
		t.Error("waited for somebody who has gone")
	}
	begun := make(chan bool)
	go func() { begun <- full.take(t.Context()) }()
	full.leave()
	if !<-begun {
		t.Error("the place that was given back was not given on")
	}
}

func TestWhatFindsNoTurnIsAllowedUnchecked(t *testing.T) {
	v := &validator{kind: kinds()[0], namespace: home, now: time.Now, turns: taken(judgedAtOnce)}
	request := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Namespace: home, Name: "blue", Operation: admissionv1.Create}}
	response := v.Handle(t.Context(), request)
	if !response.Allowed || len(response.Warnings) != 1 || response.Warnings[0] != `IPAddressPool "blue" was not checked: too many concurrent requests` {
		t.Errorf("got %+v", response)
	}
	request.Namespace = "shop"
	if v.Handle(t.Context(), request).Allowed {
		t.Error("that the namespace is wrong is seen without any reading")
	}
}

// readerOf serves what reads a whole body.
func readerOf(t *testing.T, places turns, limit time.Duration) *httptest.Server {
	server := httptest.NewServer(bounded{turns: places, limit: limit, next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusRequestTimeout)
		}
	})})
	t.Cleanup(server.Close)
	return server
}

func post(t *testing.T, server *httptest.Server, body io.Reader) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func TestWhoFindsNoPlaceIsSentAway(t *testing.T) {
	if got := post(t, readerOf(t, taken(readAtOnce), time.Minute), strings.NewReader("{}")); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("all places are taken: %s", got.Status)
	}
	places := newTurns(1)
	server := readerOf(t, places, time.Minute)
	for range 3 {
		if got := post(t, server, strings.NewReader("{}")); got.StatusCode != http.StatusOK {
			t.Errorf("one after the other: %s", got.Status)
		}
	}
}

func TestWhoSendsSlowlyLosesThePlace(t *testing.T) {
	server := readerOf(t, newTurns(1), 50*time.Millisecond)
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if _, err := io.WriteString(connection, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
		t.Errorf("%q, %v", answer, err)
	}
	if got := post(t, server, strings.NewReader("{}")); got.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %s", got.Status)
	}
}

func TestABodyIsBounded(t *testing.T) {
	registered := mux{}
	Register(registered, nil, home, time.Now)
	server := httptest.NewServer(registered[kinds()[0].path()])
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, io.LimitReader(zeros{}, 8<<20))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(body), "request entity is too large") {
		t.Errorf("%s, %v", body, err)
	}
}

type mux map[string]http.Handler

func (m mux) Register(path string, h http.Handler) { m[path] = h }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
