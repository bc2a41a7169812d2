// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
)

func ask(h http.Handler, path string) (int, string) {
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder.Code, recorder.Body.String()
}

func TestAFailingCheckIsLoggedOnceWithItsNameAndReason(t *testing.T) {
	var lines []string
	h := newHealth(funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{}))
	var state error
	if err := errors.Join(h.ready.add("loaded", func(*http.Request) error { return state }), h.ready.add("ping", func(*http.Request) error { return nil })); err != nil {
		t.Fatal(err)
	}
	server := h.server().Handler
	for _, state = range []error{
		errors.New("the objects have not been read yet"), errors.New("the objects have not been read yet"), nil, nil, errors.New("no interface"),
	} {
		ask(server, "/readyz")
	}
	want := []string{
		`"level"=0 "msg"="Health check failed" "endpoint"="/readyz" "check"="loaded" "error"="the objects have not been read yet"`,
		`"level"=0 "msg"="Health check passed" "endpoint"="/readyz" "check"="loaded"`,
		`"level"=0 "msg"="Health check failed" "endpoint"="/readyz" "check"="loaded" "error"="no interface"`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("logged\n%s", strings.Join(lines, "\n"))
	}
}

func TestHealthIsAnsweredByCheck(t *testing.T) {
	h := newHealth(funcr.New(func(_, _ string) {}, funcr.Options{}))
	broken := func(*http.Request) error { return errors.New("secret cause") }
	fine := func(*http.Request) error { return nil }
	if err := errors.Join(h.alive.add("ping", fine), h.ready.add("ping", fine), h.ready.add("loaded", broken)); err != nil {
		t.Fatal(err)
	}
	if h.ready.add("ping", broken) == nil {
		t.Error("two checks of one name")
	}
	server := h.server().Handler
	for path, want := range map[string]struct {
		code int
		text string
	}{
		"/healthz":         {200, "ok"},
		"/healthz?verbose": {200, "[+]ping ok\n"},
		"/readyz":          {500, "[-]loaded failed: see the log\n[+]ping ok\n"},
		"/readyz/ping":     {200, "ok"},
		"/readyz/loaded":   {500, "[-]loaded failed: see the log\n"},
		"/readyz/nothing":  {404, "404 page not found\n"},
		"/elsewhere":       {404, "404 page not found\n"},
	} {
		if code, text := ask(server, path); code != want.code || text != want.text {
			t.Errorf("%s: %d %q, want %d %q", path, code, text, want.code, want.text)
		}
	}
}
