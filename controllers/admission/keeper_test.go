// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var _ = Describe("the keeper of the certificate", Ordered, ContinueOnFailure, func() {
	var now atomic.Int64
	keeper := func() *Keeper {
		GinkgoHelper()
		c, err := client.New(asOperator(), client.Options{Scheme: testScheme()})
		Expect(err).NotTo(HaveOccurred())
		return &Keeper{
			Client: c, Reader: c, Namespace: home, Log: GinkgoLogr,
			Now: func() time.Time { return time.Unix(now.Load(), 0) },
		}
	}
	secret := func(ctx context.Context) *corev1.Secret {
		GinkgoHelper()
		s := &corev1.Secret{}
		Expect(api.Get(ctx, client.ObjectKey{Namespace: home, Name: SecretName}, s)).To(Succeed())
		return s
	}
	configuration := func(ctx context.Context) *admissionregistrationv1.ValidatingWebhookConfiguration {
		GinkgoHelper()
		c := &admissionregistrationv1.ValidatingWebhookConfiguration{}
		Expect(api.Get(ctx, client.ObjectKey{Name: ConfigurationName}, c)).To(Succeed())
		return c
	}
	// shake connects as the API server does and reports whether it trusts the keeper.
	shake := func(ctx context.Context, k *Keeper) error {
		GinkgoHelper()
		roots := x509.NewCertPool()
		Expect(roots.AppendCertsFromPEM(configuration(ctx).Webhooks[0].ClientConfig.CABundle)).To(BeTrue())
		near, far := net.Pipe()
		defer near.Close()
		ended := make(chan error, 1)
		go func() {
			defer far.Close()
			ended <- tls.Server(far, &tls.Config{GetCertificate: k.GetCertificate}).HandshakeContext(ctx)
		}()
		err := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: ServiceName + "." + home + ".svc", Time: k.Now}).HandshakeContext(ctx)
		if err != nil {
			return fmt.Errorf("shaking hands: %w", err)
		}
		return <-ended
	}

	// The environment lets the API server call an address; in a cluster it calls the Service, and those are what the keeper fills in.
	BeforeAll(func(ctx context.Context) {
		original := configuration(ctx).DeepCopy()
		DeferCleanup(func(ctx context.Context) {
			original.ResourceVersion = configuration(ctx).ResourceVersion
			Expect(api.Update(ctx, original)).To(Succeed())
		})
		c := configuration(ctx)
		for i := range c.Webhooks {
			c.Webhooks[i].ClientConfig = admissionregistrationv1.WebhookClientConfig{
				Service: &admissionregistrationv1.ServiceReference{Namespace: home, Name: ServiceName},
			}
		}
		Expect(api.Update(ctx, c)).To(Succeed())
	})

	BeforeEach(func(ctx context.Context) {
		now.Store(time.Now().Unix())
		Expect(client.IgnoreNotFound(api.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(home)))).To(Succeed())
	})

	It("serves nothing before it has a certificate", func() {
		_, err := keeper().GetCertificate(nil)
		Expect(err).To(MatchError(errNoCertificate))
	})

	It("starts with nothing, and writes nothing when all is well", func(ctx context.Context) {
		k := keeper()
		Expect(k.keep(ctx)).To(Succeed())
		Expect(shake(ctx, k)).To(Succeed())
		Expect(secret(ctx).Type).To(Equal(corev1.SecretTypeTLS))
		s, c := secret(ctx).ResourceVersion, configuration(ctx).ResourceVersion
		Expect(k.keep(ctx)).To(Succeed())
		Expect(secret(ctx).ResourceVersion).To(Equal(s))
		Expect(configuration(ctx).ResourceVersion).To(Equal(c))
	})

	It("renews without a restart and without losing the API server's trust", func(ctx context.Context) {
		k := keeper()
		Expect(k.keep(ctx)).To(Succeed())
		ca, cert := secret(ctx).Data[caField], secret(ctx).Data[corev1.TLSCertKey]
		now.Add(int64((servingLife * 3 / 4).Seconds()))
		Expect(k.keep(ctx)).To(Succeed())
		Expect(secret(ctx).Data[caField]).To(Equal(ca))
		Expect(secret(ctx).Data[corev1.TLSCertKey]).NotTo(Equal(cert))
		Expect(shake(ctx, k)).To(Succeed())
	})

	It("repairs what others change", func(ctx context.Context) {
		k := keeper()
		Expect(k.keep(ctx)).To(Succeed())
		By("a CA that somebody takes away")
		Expect(api.Patch(ctx, configuration(ctx), client.RawPatch(types.JSONPatchType,
			[]byte(`[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`)))).To(Succeed())
		Expect(k.keep(ctx)).To(Succeed())
		Expect(shake(ctx, k)).To(Succeed())
		By("a Secret with nonsense")
		s := secret(ctx)
		s.Data = map[string][]byte{corev1.TLSCertKey: []byte("x"), corev1.TLSPrivateKeyKey: []byte("y")}
		Expect(api.Update(ctx, s)).To(Succeed())
		Expect(k.keep(ctx)).To(Succeed())
		Expect(shake(ctx, k)).To(Succeed())
		By("an empty Secret of another type, as MetalLB's manifests have it")
		Expect(api.Delete(ctx, secret(ctx))).To(Succeed())
		empty := &corev1.Secret{ObjectMeta: at(SecretName)}
		Expect(api.Create(ctx, empty)).To(Succeed())
		Expect(k.keep(ctx)).To(Succeed())
		Expect(shake(ctx, k)).To(Succeed())
	})

	It("leaves the webhooks of another installation alone", func(ctx context.Context) {
		c := configuration(ctx)
		c.Webhooks[1].ClientConfig.Service.Namespace = "elsewhere"
		c.Webhooks[1].ClientConfig.CABundle = nil
		Expect(api.Update(ctx, c)).To(Succeed())
		Expect(keeper().keep(ctx)).To(Succeed())
		Expect(configuration(ctx).Webhooks[1].ClientConfig.CABundle).To(BeEmpty())
	})

	It("agrees with other replicas", func(ctx context.Context) {
		const replicas = 4
		keepers := make([]*Keeper, replicas)
		ended := make(chan error, replicas)
		running, stop := context.WithCancel(ctx)
		DeferCleanup(stop)
		for i := range keepers {
			keepers[i] = keeper()
			go func() { ended <- keepers[i].Start(running) }()
		}
		for i := range keepers {
			Eventually(func() error { return shake(ctx, keepers[i]) }).Should(Succeed())
			mine, err := keepers[i].GetCertificate(nil)
			Expect(err).NotTo(HaveOccurred())
			pair, err := tls.X509KeyPair(secret(ctx).Data[corev1.TLSCertKey], secret(ctx).Data[corev1.TLSPrivateKeyKey])
			Expect(err).NotTo(HaveOccurred())
			Expect(mine.Leaf.Equal(pair.Leaf)).To(BeTrue())
		}
		stop()
		for range keepers {
			Eventually(ended).Should(Receive(BeNil()))
		}
	})
})
