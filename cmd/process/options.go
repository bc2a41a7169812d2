// SPDX-License-Identifier: Apache-2.0

// Package process is what every role's process has in common: its flags, its logger, its connection to the API server, its health and
// metrics endpoints.
//
// It knows no role and starts nothing by itself.
package process

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"go.uber.org/zap/zapcore"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"metalsuite.io/cmd/process/metricsauth"
)

// namespaceFile is where Kubernetes tells a pod its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// Options are the flags that every role has. The zero value becomes usable with Bind.
type Options struct {
	// Namespace is where the suite is installed and its resources are read.
	Namespace string
	// LogLevel is one of all, debug, info, warn, error, none.
	LogLevel string
	// HealthHost and HealthPort are where /healthz and /readyz are served; port 0 serves none. An empty host means every address.
	HealthHost string
	HealthPort uint16
	// MetricsPort is where /metrics is served with TLS, authentication and authorization; 0 serves none.
	MetricsPort uint16
	// Kubeconfig is the path of a kubeconfig file; empty means the service account of the pod.
	Kubeconfig string
}

// Bind adds the flags to a command. Defaults come from the environment that the manifests set.
func (o *Options) Bind(flags *pflag.FlagSet) {
	flags.StringVar(&o.Namespace, "namespace", defaultNamespace(), "namespace of the suite and of its resources (env METALLB_NAMESPACE)")
	flags.StringVar(&o.LogLevel, "log-level", "info", "one of all, debug, info, warn, error, none")
	flags.StringVar(&o.HealthHost, "health-probe-host", "", "address on which health is served; empty listens on every address")
	flags.Uint16Var(&o.HealthPort, "health-probe-port", 17472, "port on which /healthz and /readyz are served; 0 serves none")
	flags.Uint16Var(&o.MetricsPort, "port", 9120, "port on which /metrics is served over HTTPS; 0 serves none")
	flags.StringVar(&o.Kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "path of a kubeconfig file; empty uses the pod's service account")
}

func defaultNamespace() string {
	if n := os.Getenv("METALLB_NAMESPACE"); n != "" {
		return n
	}
	if b, err := os.ReadFile(namespaceFile); err == nil {
		return strings.TrimSpace(string(b))
	}
	return ""
}

// Logger returns the JSON logger of the process and makes it the one of controller-runtime and klog as well. A missing namespace is an
// error: a mistake in the manifest that would otherwise show much later. An unknown level is logged and counts as info: no process ends for
// how much it is to log.
func (o *Options) Logger() (logr.Logger, error) {
	level, unknown := logLevel(o.LogLevel)
	if o.Namespace == "" {
		return logr.Discard(), errors.New("the namespace is not known: set --namespace or METALLB_NAMESPACE")
	}
	log := zap.New(zap.Level(level), zap.StacktraceLevel(zapcore.PanicLevel))
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	if unknown != nil {
		log.Info("Flag has an invalid value, default is used", "flag", "log-level", "error", unknown.Error())
	}
	return log, nil
}

// logLevel returns the level of a name; info, and an error that says so, for an unknown one.
func logLevel(name string) (zapcore.Level, error) {
	switch name {
	case "all":
		return -8, nil
	case "debug":
		return zapcore.DebugLevel, nil
	case "", "info":
		return zapcore.InfoLevel, nil
	case "warn":
		return zapcore.WarnLevel, nil
	case "error":
		return zapcore.ErrorLevel, nil
	case "none":
		return zapcore.FatalLevel + 1, nil
	}
	return zapcore.InfoLevel, fmt.Errorf("unknown log level %q, info is used: write all, debug, info, warn, error or none", name)
}

// RestConfig returns how to reach the API server. Client-side throttling is off: the server's own fairness limits us, and a limit of a
// few requests a second would delay the first grant after a restart by minutes.
func (o *Options) RestConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("finding the API server: %w", err)
	}
	config.QPS = -1
	return config, nil
}

// ManagerOptions returns the part of the options of NewManager that all roles share: metrics over HTTPS for callers that may get /metrics
// (TokenReview, SubjectAccessReview).
func (o *Options) ManagerOptions(scheme *runtime.Scheme, log logr.Logger) ctrl.Options {
	options := ctrl.Options{
		Scheme: scheme,
		Logger: log,
		// NewManager serves health.
		HealthProbeBindAddress: "0",
		Metrics:                metricsserver.Options{BindAddress: "0"},
	}
	if o.MetricsPort != 0 {
		options.Metrics = metricsserver.Options{
			BindAddress:    fmt.Sprintf(":%d", o.MetricsPort),
			SecureServing:  true,
			FilterProvider: metricsauth.Filter,
			TLSOpts:        []func(*tls.Config){MinimumTLS},
		}
	}
	return options
}

func (o *Options) healthAddress() string {
	return net.JoinHostPort(o.HealthHost, strconv.Itoa(int(o.HealthPort)))
}

// MinimumTLS makes a server refuse versions below 1.3 and HTTP/2, whose stream resets have been a source of denial of service.
func MinimumTLS(c *tls.Config) {
	c.MinVersion = tls.VersionTLS13
	c.NextProtos = []string{"http/1.1"}
}
