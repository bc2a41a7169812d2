// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Names of the objects that the webhooks are served with, as MetalLB's.
const (
	// ConfigurationName is the ValidatingWebhookConfiguration whose CA a Keeper keeps.
	ConfigurationName = "metallb-webhook-configuration"
	// ServiceName is the Service by which the API server finds the webhooks.
	ServiceName = "metallb-webhook-service"
	// SecretName is the Secret in which a Keeper keeps the certificates.
	SecretName = "metallb-webhook-cert"
)

// The keys of the Secret.
const (
	caField    = "ca.crt"
	caKeyField = "ca.key"
)

const (
	// lookInterval is how often a Keeper looks whether everything is as it should be.
	lookInterval = time.Minute
	// retryInterval is how soon it looks again after a failure.
	retryInterval = 2 * time.Second
)

// errNoCertificate is what callers meet until the first certificate is there.
var errNoCertificate = errors.New("there is no serving certificate yet")

// Keeper keeps the certificate of the webhooks: it creates and renews it in a Secret and makes the API server trust it. Keepers of
// several processes agree through the Secret. GetCertificate is safe for concurrent use; Run runs once.
type Keeper struct {
	// Client writes; Reader reads live, since the cache of the process need not hold Secrets.
	Client client.Client
	Reader client.Reader
	// Namespace is that of the suite.
	Namespace string
	Log       logr.Logger
	// Now is the clock.
	Now func() time.Time

	serving atomic.Pointer[tls.Certificate]
}

// GetCertificate is what a tls.Config asks for the certificate to serve with. Until there is one it is an error.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := k.serving.Load(); c != nil {
		return c, nil
	}
	return nil, errNoCertificate
}

// Start keeps the certificate until the context ends. Failures are logged and tried again, so it returns nil.
func (k *Keeper) Start(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := lookInterval
		if err := k.keep(ctx); err != nil {
			wait = retryInterval
			k.Log.Info("Renewing the webhook certificate failed, will retry", "name", SecretName, "error", err.Error())
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// NeedLeaderElection says that every replica serves and so needs the certificate.
func (k *Keeper) NeedLeaderElection() bool { return false }

// keep looks once. Nothing is written when everything is as it should be.
func (k *Keeper) keep(ctx context.Context) error {
	current, err := k.agreed(ctx)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(current.cert, current.key)
	if err != nil {
		return fmt.Errorf("reading the serving certificate: %w", err)
	}
	k.serving.Store(&pair)
	return k.announce(ctx, current.ca)
}

// agreed returns the credentials of the Secret after renewing them if that is due. When another process was faster the conflict is an
// error, and the next look finds what it wrote.
func (k *Keeper) agreed(ctx context.Context) (credentials, error) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: SecretName}, Type: corev1.SecretTypeTLS}
	err := k.Reader.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return credentials{}, fmt.Errorf("reading the Secret: %w", err)
	}
	stored := credentials{secret.Data[caField], secret.Data[caKeyField], secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]}
	next, err := stored.renewed(k.name(), k.Now())
	if err != nil || next.equal(stored) {
		return next, err
	}
	secret.Data = map[string][]byte{caField: next.ca, caKeyField: next.caKey, corev1.TLSCertKey: next.cert, corev1.TLSPrivateKeyKey: next.key}
	write := func() error { return k.Client.Update(ctx, secret) }
	if missing {
		write = func() error { return k.Client.Create(ctx, secret) }
	}
	if err := write(); err != nil {
		return credentials{}, fmt.Errorf("writing the Secret: %w", err)
	}
	k.Log.Info("Webhook certificate renewed", "name", SecretName)
	return next, nil
}

// name is that by which the API server calls.
func (k *Keeper) name() string { return ServiceName + "." + k.Namespace + ".svc" }

// announce makes the API server trust the CA. Without the configuration nobody asks the webhooks, which is nothing to put right here.
func (k *Keeper) announce(ctx context.Context, ca []byte) error {
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := k.Reader.Get(ctx, client.ObjectKey{Name: ConfigurationName}, configuration); err != nil {
		if apierrors.IsNotFound(err) {
			k.Log.V(1).Info("Webhook configuration not found, CA is not written", "name", ConfigurationName)
			return nil
		}
		return fmt.Errorf("reading the webhook configuration: %w", err)
	}
	before := configuration.DeepCopy()
	if !k.trust(configuration.Webhooks, ca) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := k.Client.Patch(ctx, configuration, patch); err != nil {
		return fmt.Errorf("writing the webhook configuration: %w", err)
	}
	k.Log.Info("Webhook configuration updated with the current CA", "name", ConfigurationName)
	return nil
}

// trust fills in the CA of the webhooks that call us and reports whether that changed anything. The configuration is one for the whole
// cluster, so it may be another installation's.
func (k *Keeper) trust(webhooks []admissionregistrationv1.ValidatingWebhook, ca []byte) (changed bool) {
	for i := range webhooks {
		to := &webhooks[i].ClientConfig
		if to.Service == nil || to.Service.Namespace != k.Namespace || bytes.Equal(to.CABundle, ca) {
			continue
		}
		to.CABundle, changed = ca, true
	}
	return changed
}
