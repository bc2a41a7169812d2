// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"metalsuite.io/cmd/process"
	"metalsuite.io/controllers/admission"
)

// webhooks are what the operator serves to the API server. Keeper is nil when nothing is served, and when somebody else keeps the
// certificate.
type webhooks struct {
	server webhook.Server
	served bool
	keeper *admission.Keeper
}

// webhooks returns the server for the port, which starts with the manager.
func (o *options) webhooks(log logr.Logger) webhooks {
	if o.webhookPort == 0 {
		return webhooks{server: webhook.NewServer(webhook.Options{Port: -1})}
	}
	out := webhooks{served: true}
	tlsOptions := []func(*tls.Config){process.MinimumTLS}
	if !holdsCertificate(o.certDir) {
		keeper := &admission.Keeper{Namespace: o.Namespace, Log: log.WithName("certificate"), Now: time.Now}
		tlsOptions = append(tlsOptions, func(c *tls.Config) { c.GetCertificate = keeper.GetCertificate })
		out.keeper = keeper
	}
	out.server = webhook.NewServer(webhook.Options{Port: int(o.webhookPort), CertDir: o.certDir, TLSOpts: tlsOptions})
	return out
}

// holdsCertificate reports whether a folder has a certificate and its key, as OLM and cert-manager mount them.
func holdsCertificate(folder string) bool {
	for _, name := range []string{"tls.crt", "tls.key"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			return false
		}
	}
	return true
}

// checks are what has to hold for the operator to be ready: it answers the API server, with a certificate.
func (w webhooks) checks() map[string]healthz.Checker {
	checks := map[string]healthz.Checker{}
	if w.served {
		checks["webhooks"] = w.server.StartedChecker()
	}
	if w.keeper != nil {
		checks["certificate"] = func(*http.Request) error {
			_, err := w.keeper.GetCertificate(nil)
			return err
		}
	}
	return checks
}

// register makes the manager run the webhooks.
func (w webhooks) register(mgr ctrl.Manager, namespace string) error {
	admission.Register(mgr.GetWebhookServer(), mgr.GetAPIReader(), namespace, time.Now)
	for name, check := range w.checks() {
		if err := mgr.AddReadyzCheck(name, check); err != nil {
			return fmt.Errorf("registering the readiness check %s: %w", name, err)
		}
	}
	if w.keeper == nil {
		return nil
	}
	w.keeper.Client, w.keeper.Reader = mgr.GetClient(), mgr.GetAPIReader()
	if err := mgr.Add(w.keeper); err != nil {
		return fmt.Errorf("registering the certificate rotator of the webhooks: %w", err)
	}
	return nil
}
