// SPDX-License-Identifier: Apache-2.0

// Package speaker wires the speaker role: options, clients, announcers, run group. It is the one place where announcer modules are named.
package speaker

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"metalsuite.io/announcers/l2"
	"metalsuite.io/cmd/process"
)

// keyFile is the name of the gossip key in the mounted Secret.
const keyFile = "secretkey"

// The limits of --l2-refresh-interval: more often floods the segment, more seldom is of no use.
const (
	shortestRefresh = time.Second
	longestRefresh  = 24 * time.Hour
)

// options are the flags of the speaker.
type options struct {
	process.Options
	class             string
	node              string
	podName           string
	podUID            string
	bindAddress       string
	bindPort          uint16
	keyPath           string
	announcers        []string
	excludeInterfaces []string
	refreshInterval   time.Duration
	ignoreExcludeLB   bool
	drainOnCordon     bool
	runtimeFolder     string
	daemonSet         string
}

// New returns the speaker command.
func New() *cobra.Command {
	var o options
	return o.command()
}

func (o *options) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "speaker",
		Short: "Announce the addresses of Services from this node",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			return run(cmd.Context(), *o)
		},
	}
	o.Bind(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVar(&o.class, "lb-class", "", "serve only Services of this loadBalancerClass; empty serves those without class")
	flags.StringVar(&o.node, "node-name", os.Getenv("METALLB_NODE_NAME"), "name of this node (env METALLB_NODE_NAME)")
	flags.StringVar(&o.podName, "pod-name", os.Getenv("METALLB_POD_NAME"), "name of this pod, which owns its status objects (env METALLB_POD_NAME)")
	flags.StringVar(&o.podUID, "pod-uid", os.Getenv("METALLB_POD_UID"), "UID of this pod (env METALLB_POD_UID)")
	flags.StringVar(&o.bindAddress, "ml-bindaddr", os.Getenv("METALLB_ML_BIND_ADDR"), "address of this node for traffic between speakers (env METALLB_ML_BIND_ADDR)")
	flags.Uint16Var(&o.bindPort, "ml-bindport", 7946, "TCP and UDP port for traffic between speakers")
	flags.StringVar(&o.keyPath, "ml-secret-key-path", "/etc/metallb/memberlist", "directory with the key that encrypts the speakers' traffic, in a file named secretkey")
	flags.StringSliceVar(&o.announcers, "announcers", Names(), "announcers to run; empty announces nothing")
	flags.StringArrayVar(&o.excludeInterfaces, "exclude-interfaces", l2.DefaultExcludedInterfaces, "regular expressions (RE2) of interface names that are never used for announcements")
	flags.DurationVar(&o.refreshInterval, "l2-refresh-interval", 0, "interval of repeated gratuitous ARP and unsolicited neighbor advertisements of the announcer l2, from 1s to 24h; 0 repeats none")
	flags.BoolVar(&o.ignoreExcludeLB, "ignore-exclude-lb", false, "announce from nodes labelled node.kubernetes.io/exclude-from-external-load-balancers too")
	flags.BoolVar(&o.drainOnCordon, "bgp-drain-on-cordon", false, "withdraw the BGP routes of this node while it is cordoned")
	flags.StringVar(&o.runtimeFolder, "runtime-folder", os.TempDir(), "writable directory for the sockets of the announcers' child processes")
	flags.StringVar(&o.daemonSet, "daemonset", os.Getenv("METALLB_DAEMONSET"), "name of the speakers' DaemonSet; a speaker that stops closes its BGP sessions with a Cease NOTIFICATION when the DaemonSet no longer selects this node (env METALLB_DAEMONSET)")
	return cmd
}

func (o *options) validate() error {
	if o.node == "" {
		return errors.New("the name of the node is not known: set --node-name or METALLB_NODE_NAME")
	}
	if _, err := netip.ParseAddr(o.bindAddress); err != nil {
		return fmt.Errorf("the address of the node is not known: set --ml-bindaddr or METALLB_ML_BIND_ADDR: %w", err)
	}
	return nil
}

// usable returns the options with those replaced that cannot be used, and logs each: a mistake costs the option, never the speaker.
func (o options) usable(log logr.Logger) options {
	if o.refreshInterval != 0 && (o.refreshInterval < shortestRefresh || o.refreshInterval > longestRefresh) {
		log.Info("Flag has an invalid value, default is used", "flag", "l2-refresh-interval",
			"error", fmt.Sprintf("%v is neither 0 nor from %v to %v; announcements are not repeated", o.refreshInterval, shortestRefresh, longestRefresh))
		o.refreshInterval = 0
	}
	o.announcers = distinct(o.announcers)
	return o
}

// distinct returns the names without the empty ones and each once.
func distinct(names []string) []string {
	var out []string
	for _, name := range names {
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func (o *options) keyFile() string { return filepath.Join(o.keyPath, keyFile) }

// announcersIn returns the announcers that a speaker with these arguments runs. Flags of another version are none of its business.
func announcersIn(args []string) ([]string, error) {
	var o options
	flags := o.command().Flags()
	flags.ParseErrorsAllowlist.UnknownFlags = true
	err := flags.Parse(args)
	return o.announcers, err
}
