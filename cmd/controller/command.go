// SPDX-License-Identifier: Apache-2.0

// Package controller wires the controller role: options, clients, run group.
package controller

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/cmd/process"
	"metalsuite.io/controllers/service"
)

// options are the flags of the role.
type options struct {
	process.Options
	class      string
	secretName string
	deployment string
	podName    string
}

// New returns the controller command.
func New() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:   "controller",
		Short: "Run the controller: every LoadBalancer Service gets its addresses",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.bind(command.Flags())
	return command
}

func (o *options) bind(flags *pflag.FlagSet) {
	o.Bind(flags)
	flags.StringVar(&o.class, "lb-class", "", "spec.loadBalancerClass of the Services to serve; empty serves those without one")
	flags.StringVar(&o.secretName, "ml-secret-name", environment("METALLB_ML_SECRET_NAME", "memberlist"),
		"Secret with the key of the speakers' membership, created if absent; empty creates none (env METALLB_ML_SECRET_NAME)")
	flags.StringVar(&o.deployment, "deployment", environment("METALLB_DEPLOYMENT", ""),
		"Deployment of this role, owner of what the role creates; empty owns nothing (env METALLB_DEPLOYMENT)")
	flags.StringVar(&o.podName, "pod-name", environment("METALLB_POD_NAME", ""), "name of this pod, for the log (env METALLB_POD_NAME)")
}

func environment(name, fallback string) string {
	if v, ok := os.LookupEnv(name); ok {
		return v
	}
	return fallback
}

func (o *options) run(ctx context.Context) error {
	log, err := o.Logger()
	if err != nil {
		return err
	}
	config, err := o.RestConfig()
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1beta1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("building the scheme: %w", err)
	}
	managerOptions := o.ManagerOptions(scheme, log)
	managerOptions.Cache = service.CacheOptions(o.Namespace)
	mgr, err := ctrl.NewManager(config, managerOptions)
	if err != nil {
		return fmt.Errorf("creating the manager: %w", err)
	}
	role := service.Options{Namespace: o.Namespace, Class: o.class, SecretName: o.secretName, Deployment: o.deployment}
	if err := errors.Join(service.Setup(mgr, role), mgr.AddHealthzCheck("ping", healthz.Ping)); err != nil {
		return fmt.Errorf("registering the role: %w", err)
	}
	log.Info("Starting", "namespace", o.Namespace, "class", o.class, "pod", o.podName)
	return mgr.Start(ctx)
}
