// SPDX-License-Identifier: Apache-2.0

// Package operator wires the operator role: options, clients, run group.
package operator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/cmd/process"
	"metalsuite.io/cmd/speaker"
	"metalsuite.io/controllers/operator"
)

// options are the flags of the role.
type options struct {
	process.Options
	// image is that of the operands; empty means that of the pod podName.
	image, podName string
	// webhookPort is 0 when no webhooks are served. certDir may hold a certificate that somebody else keeps.
	webhookPort uint16
	certDir     string
}

// New returns the operator command.
func New() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:   "operator",
		Short: "Run the operator, which deploys the workloads of a MetalLB resource",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.Bind(command.Flags())
	command.Flags().StringVar(&o.image, "image", os.Getenv("RELATED_IMAGE_METALSUITE"), "image of the operands; empty uses the image of the operator's pod (env RELATED_IMAGE_METALSUITE)")
	command.Flags().StringVar(&o.podName, "pod-name", os.Getenv("METALLB_POD_NAME"), "name of this pod (env METALLB_POD_NAME)")
	command.Flags().Uint16Var(&o.webhookPort, "webhook-port", 9443, "port on which the admission webhooks are served; 0 serves none")
	command.Flags().StringVar(&o.certDir, "webhook-cert-dir", "/tmp/k8s-webhook-server/serving-certs",
		"directory whose tls.crt and tls.key, if present at start, serve the webhooks; otherwise the operator creates and renews its own certificate")
	return command
}

func (o *options) run(ctx context.Context) error {
	log, err := o.Logger()
	if err != nil {
		return err
	}
	if o.image == "" && o.podName == "" {
		return errors.New("the image of the operands is not known: set METALLB_POD_NAME, or RELATED_IMAGE_METALSUITE")
	}
	config, err := o.RestConfig()
	if err != nil {
		return err
	}
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	managerOptions := o.ManagerOptions(scheme, log)
	managerOptions.Cache = operator.CacheOptions(o.Namespace)
	hooks := o.webhooks(log)
	managerOptions.WebhookServer = hooks.server
	mgr, err := o.NewManager(config, managerOptions)
	if err != nil {
		return fmt.Errorf("creating the manager: %w", err)
	}
	if o.image == "" {
		if o.image, err = operator.OwnImage(ctx, mgr.GetAPIReader(), o.Namespace, o.podName); err != nil {
			return err
		}
	}
	if err := errors.Join(o.register(mgr), hooks.register(mgr, o.Namespace)); err != nil {
		return err
	}
	log.Info("Starting", "namespace", o.Namespace, "image", o.image)
	return mgr.Start(ctx)
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), v1beta1.AddToScheme(scheme), v1beta2.AddToScheme(scheme))
}

func (o *options) register(mgr ctrl.Manager) error {
	recorder := mgr.GetEventRecorder(operator.FieldOwner)
	reconciler := &operator.Reconciler{
		Client: mgr.GetClient(),
		Live:   mgr.GetAPIReader(),
		Events: recorder,
		Strays: operator.NewStrays(mgr.GetCache(), recorder, o.Namespace, mgr.GetLogger()),
		Options: operator.Options{
			Namespace:       o.Namespace,
			Image:           o.image,
			KnownAnnouncers: speaker.Names(),
		},
		Now: time.Now,
	}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("registering the reconciler: %w", err)
	}
	return errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping))
}
