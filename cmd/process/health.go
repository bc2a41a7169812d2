// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// checks answers for one endpoint: it runs all its checks, or the one that the path names behind the endpoint's own. Each change of a check
// is logged once, with its name and its reason; the answer itself gives no reason, since anybody may ask. It is safe for concurrent use.
type checks struct {
	// endpoint is the path, such as /readyz.
	endpoint string
	log      logr.Logger

	mu     sync.Mutex
	byName map[string]healthz.Checker
	// failing has the reason of each check that failed when it was run last.
	failing map[string]string
}

func newChecks(endpoint string, log logr.Logger) *checks {
	return &checks{endpoint: endpoint, log: log, byName: map[string]healthz.Checker{}, failing: map[string]string{}}
}

func (c *checks) add(name string, check healthz.Checker) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.byName[name]; taken {
		return fmt.Errorf("%s has a check %q already", c.endpoint, name)
	}
	c.byName[name] = check
	return nil
}

// ServeHTTP implements http.Handler.
func (c *checks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	chosen, known := c.chosen(strings.Trim(strings.TrimPrefix(r.URL.Path, c.endpoint), "/"))
	if !known {
		http.NotFound(w, r)
		return
	}
	status := http.StatusOK
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		err := chosen[name](r)
		c.note(name, err)
		if err != nil {
			status = http.StatusInternalServerError
			fmt.Fprintf(&text, "[-]%s failed: see the log\n", name)
		} else {
			fmt.Fprintf(&text, "[+]%s ok\n", name)
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	if _, verbose := r.URL.Query()["verbose"]; status == http.StatusOK && !verbose {
		text.Reset()
		text.WriteString("ok")
	}
	_, _ = w.Write([]byte(text.String())) // the asker may have gone
}

// chosen returns the check of this name, or all without a name, and whether there is such a check.
func (c *checks) chosen(name string) (map[string]healthz.Checker, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name == "" {
		return maps.Clone(c.byName), true
	}
	check, known := c.byName[name]
	return map[string]healthz.Checker{name: check}, known
}

// note logs that a check fails, fails for another reason or works again.
func (c *checks) note(name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, failed := c.failing[name]
	switch {
	case err == nil && failed:
		delete(c.failing, name)
		c.log.Info("Health check passed", "endpoint", c.endpoint, "check", name)
	case err != nil && (!failed || before != err.Error()):
		c.failing[name] = err.Error()
		c.log.Info("Health check failed", "endpoint", c.endpoint, "check", name, "error", err.Error())
	}
}

// health is what a process serves on its health port.
type health struct{ alive, ready *checks }

func newHealth(log logr.Logger) health {
	return health{alive: newChecks("/healthz", log), ready: newChecks("/readyz", log)}
}

func (h health) server() *http.Server {
	mux := http.NewServeMux()
	for _, c := range []*checks{h.alive, h.ready} {
		mux.Handle(c.endpoint, c)
		mux.Handle(c.endpoint+"/", c)
	}
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
}

// NewManager returns a manager that serves health as the flags say. A port that is taken is an error. The health server of
// controller-runtime is not used, since its log names no failing check.
func (o *Options) NewManager(config *rest.Config, options ctrl.Options) (ctrl.Manager, error) {
	mgr, err := ctrl.NewManager(config, options)
	if err != nil || o.HealthPort == 0 {
		return mgr, err
	}
	h := newHealth(options.Logger.WithName("health"))
	listener, err := net.Listen("tcp", o.healthAddress())
	if err != nil {
		return nil, fmt.Errorf("serving health: %w", err)
	}
	timeout := shutdownTime
	if err := mgr.Add(&manager.Server{Name: "health", Server: h.server(), Listener: listener, ShutdownTimeout: &timeout}); err != nil {
		return nil, fmt.Errorf("serving health: %w", err)
	}
	return healthManager{Manager: mgr, health: h}, nil
}

// healthManager is a manager whose health is served by this package.
type healthManager struct {
	ctrl.Manager
	health health
}

// AddHealthzCheck implements manager.Manager.
func (m healthManager) AddHealthzCheck(name string, check healthz.Checker) error {
	return m.health.alive.add(name, check)
}

// AddReadyzCheck implements manager.Manager.
func (m healthManager) AddReadyzCheck(name string, check healthz.Checker) error {
	return m.health.ready.add(name, check)
}
