// SPDX-License-Identifier: Apache-2.0

package process

import (
	"testing"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
)

func TestLoggerRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"an unknown level":    {Namespace: "metallb-system", LogLevel: "loud"},
		"a missing namespace": {LogLevel: "info"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := o.Logger(); err == nil {
				t.Fatal("want an error that names the mistake")
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Setenv("METALLB_NAMESPACE", "elsewhere")
	var o Options
	flags := pflag.NewFlagSet("role", pflag.ContinueOnError)
	o.Bind(flags)
	if err := flags.Parse([]string{"--port=0", "--health-probe-host=127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	options := o.ManagerOptions(nil, logr.Discard())
	if o.Namespace != "elsewhere" || options.HealthProbeBindAddress != "127.0.0.1:17472" || options.Metrics.BindAddress != "0" {
		t.Fatalf("got namespace %q, health %q, metrics %q", o.Namespace, options.HealthProbeBindAddress, options.Metrics.BindAddress)
	}
}
