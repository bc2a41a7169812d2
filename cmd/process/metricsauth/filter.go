// SPDX-License-Identifier: Apache-2.0

package metricsauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// logEvery bounds how often a failure of the API server is logged, however often metrics are asked for.
const logEvery = time.Minute

// Filter returns the filter of a metrics server whose requests the API server authenticates and authorizes. It is a
// metricsserver.Options.FilterProvider.
func Filter(config *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
	r, err := newClient(config, httpClient)
	if err != nil {
		return nil, err
	}
	return filter(r, time.Now), nil
}

func filter(r reviewer, now func() time.Time) metricsserver.Filter {
	shared := newReviews(r, now)
	return func(log logr.Logger, next http.Handler) (http.Handler, error) {
		return &handler{reviews: shared, next: next, log: log, now: now}, nil
	}
}

// handler serves the requests that may read the metrics and answers the others: 401 (no valid token), 403 (no permission), 405 (not GET),
// 429 (too many unknown tokens), 503 (the API server did not decide).
type handler struct {
	reviews *reviews
	next    http.Handler
	log     logr.Logger
	now     func() time.Time

	mu     sync.Mutex
	logged time.Time
}

func (h *handler) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "metrics are read by GET", http.StatusMethodNotAllowed)
		return
	}
	token, ok := bearer(request.Header)
	if !ok {
		unauthorized(w, "send the token of a ServiceAccount that may get /metrics: Authorization: Bearer TOKEN")
		return
	}
	decided, err := h.reviews.decide(request.Context(), token, sourceOf(request))
	switch {
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many unknown tokens were sent; try again later", http.StatusTooManyRequests)
	case err != nil:
		h.failed(err)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "the API server did not review the token; the log of this pod has the error", http.StatusServiceUnavailable)
	case decided.user == nil:
		unauthorized(w, "the API server does not accept this token")
	case !decided.allowed:
		http.Error(w, fmt.Sprintf("%s may not get /metrics; bind it to the ClusterRole metallb-metrics-reader", decided.user.Username), http.StatusForbidden)
	default:
		h.next.ServeHTTP(w, request)
	}
}

// failed logs an error of the reviews, at most once in a while. A request that ended meanwhile is no error.
func (h *handler) failed(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	h.mu.Lock()
	due := h.logged.IsZero() || h.now().Sub(h.logged) >= logEvery
	if due {
		h.logged = h.now()
	}
	h.mu.Unlock()
	if due {
		h.log.Error(err, "Metrics are not served: the API server did not review the token of the request")
	}
}

func unauthorized(w http.ResponseWriter, text string) {
	w.Header().Set("WWW-Authenticate", "Bearer")
	http.Error(w, text, http.StatusUnauthorized)
}

// bearer returns the token of a request (RFC 6750 section 2.1); the name of the scheme has no case (RFC 9110 section 11.1).
func bearer(header http.Header) (string, bool) {
	scheme, token, found := strings.Cut(strings.TrimSpace(header.Get("Authorization")), " ")
	token = strings.TrimSpace(token)
	return token, found && strings.EqualFold(scheme, "Bearer") && token != ""
}

// sourceOf returns the address that a request comes from; the invalid address when it is not known.
func sourceOf(request *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(request.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return from.Addr()
}
