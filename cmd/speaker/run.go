// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/cmd/process"
	"metalsuite.io/cmd/version"
	"metalsuite.io/controllers/speaker"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
)

// hold is how long a returning node must be able to announce before it counts in elections.
const hold = 3 * time.Second

// retryStart is how long the speaker waits before it tries again to reach an API server that was away when it started.
const retryStart = 2 * time.Second

// keyPeriod is how often the key of the membership is read again. The kubelet replaces the file when the Secret changes.
const keyPeriod = 10 * time.Second

// heapGrowth is by how many per cent the heap may grow between two collections. The role holds all Services in memory on every node.
const heapGrowth = 25

func run(ctx context.Context, o options) error {
	defer process.Frugal(heapGrowth)()
	log, err := o.Logger()
	if err != nil {
		return err
	}
	o = o.usable(log)
	config, err := o.RestConfig()
	if err != nil {
		return err
	}
	members, err := o.membership(log)
	if err != nil {
		return err
	}
	address := netip.MustParseAddr(o.bindAddress) // valid, as validate has seen
	modules, err := build(o.announcers, environment{
		node: o.node, address: address, log: log, registerer: metrics.Registry, runtimeFolder: o.runtimeFolder,
		excludeInterfaces: o.excludeInterfaces, refreshInterval: o.refreshInterval,
	})
	if err != nil {
		return err
	}
	objects, err := newObjects(config, o.Namespace, o.node, o.class)
	if err != nil {
		return err
	}
	recorder, stop, err := newRecorder(config, objects.client.Scheme())
	if err != nil {
		return err
	}
	defer stop()
	trigger := kube.NewTrigger()
	source := speaker.NewSource(objects.cache, o.Namespace, trigger)
	status := speaker.NewStatus(speaker.StatusOptions{
		Client: objects.client, Recorder: recorder, UID: source.UID, Node: o.node, Namespace: o.Namespace, PodName: o.podName, PodUID: o.podUID,
		Metrics: speaker.NewMetrics(metrics.Registry, o.node), Clock: clock.RealClock{}, Log: log.WithName("status"),
	})
	passwords := speaker.NewPasswords(speaker.PasswordsOptions{
		Reader: objects.direct, Namespace: o.Namespace, Trigger: trigger, Clock: clock.RealClock{}, Log: log.WithName("passwords"),
	})
	loop := speaker.New(speaker.Options{
		HomeLink: homeLink(address), DrainOnCordon: o.drainOnCordon,
		Node: o.node, Version: version.Version, IgnoreExcludeLabel: o.ignoreExcludeLB, Hold: hold,
		Passwords: passwords, Observer: source, Members: members, Modules: modules, Trigger: trigger, Clock: clock.RealClock{}, Log: log,
		OnOutcome: status.Report,
	})

	// What runs outlives the signal to end until the announcers have taken leave.
	signalled := ctx
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	installed := speaker.Installation{
		Reader: objects.direct, Namespace: o.Namespace, DaemonSet: o.daemonSet, Node: o.node, Announcers: announcersIn, Log: log,
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer end()
		part(signalled, ctx, log, loop, installed)
		return nil
	})
	group.Go(func() error { return members.Run(ctx) })
	group.Go(func() error { return passwords.Run(ctx) })
	group.Go(func() error { return loop.Run(ctx) })
	group.Go(func() error { return status.Run(ctx) })
	group.Go(func() error { return objects.cache.Start(ctx) })
	group.Go(func() error { return insist(ctx, log, source.Start) })
	group.Go(func() error {
		return insist(ctx, log, func(ctx context.Context) error { return status.Watch(ctx, objects.cache) })
	})
	group.Go(func() error {
		return insist(ctx, log, func(ctx context.Context) error {
			placement, err := installed.Placement(ctx)
			if err == nil {
				source.SetPlacement(placement)
			}
			return err
		})
	})
	group.Go(func() error { return o.ServeMetrics(ctx, config, log) })
	group.Go(func() error {
		alive := func(*http.Request) error { return nil }
		ready := func(*http.Request) error { return loop.Ready() }
		return o.ServeHealth(ctx, log, alive, ready)
	})
	log.Info("Speaker started", "node", o.node, "announcer", o.announcers)
	return group.Wait()
}

// part waits for the signal to end, or for the end of something that runs. After the signal it lets those announcers take leave of the
// network that do not come back to this node; a restart is none of the network's business.
func part(signalled, running context.Context, log logr.Logger, loop *speaker.Speaker, installed speaker.Installation) {
	select {
	case <-running.Done():
		return
	case <-signalled.Done():
	}
	departing := loop.Departing()
	why := func(string) reason.Reason { return departing }
	if departing == "" {
		why = installed.Removed(running)
	}
	if loop.Leave(running, why) == 0 {
		log.Info("Speaker shuts down, no announcer has to close sessions")
	}
}

func (o *options) membership(log logr.Logger) (*membership.Membership, error) {
	keys, err := membership.ReadKeys(o.keyFile())
	if err != nil {
		return nil, err
	}
	address, err := netip.ParseAddr(o.bindAddress)
	if err != nil {
		return nil, fmt.Errorf("parsing the address of the node: %w", err)
	}
	return membership.New(membership.Options{
		Name: o.node, Bind: netip.AddrPortFrom(address, o.bindPort), Log: log.WithName("members"), Metrics: metrics.Registry,
		Key: keys.Current, Former: keys.Former, KeyTicks: time.Tick(keyPeriod),
		ReadKeys: func() (membership.Keys, error) { return membership.ReadKeys(o.keyFile()) },
	})
}

// objects is the speaker's view of the API server: reads come from memory.
type objects struct {
	cache  cache.Cache
	client client.Client
	// direct asks the API server itself.
	direct client.Reader
}

func newObjects(config *rest.Config, namespace, node, class string) (objects, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1beta1.AddToScheme, v1beta2.AddToScheme} {
		if err := add(scheme); err != nil {
			return objects{}, fmt.Errorf("registering kinds: %w", err)
		}
	}
	options := speaker.CacheOptions(namespace, node, class)
	options.Scheme = scheme
	c, err := cache.New(config, options)
	if err != nil {
		return objects{}, fmt.Errorf("preparing the cache: %w", err)
	}
	writer, err := client.New(config, client.Options{Scheme: scheme, Cache: &client.CacheOptions{Reader: c}})
	if err != nil {
		return objects{}, fmt.Errorf("preparing the client: %w", err)
	}
	direct, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return objects{}, fmt.Errorf("preparing the reader: %w", err)
	}
	return objects{cache: c, client: writer, direct: direct}, nil
}

// correlated is of how many objects events are remembered: repeated ones are counted, and too many of one object left out. The usual 4096
// objects take 3 MiB.
const correlated = 1024

// newRecorder returns a recorder of events on objects of the scheme; stop waits for nothing.
func newRecorder(config *rest.Config, scheme *runtime.Scheme) (record.EventRecorder, func(), error) {
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("preparing events: %w", err)
	}
	broadcaster := record.NewBroadcaster(record.WithCorrelatorOptions(record.CorrelatorOptions{LRUCacheSize: correlated}))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: clients.CoreV1().Events("")})
	return broadcaster.NewRecorder(scheme, corev1.EventSource{Component: "metallb-speaker"}), broadcaster.Shutdown, nil
}

// insist calls start until it succeeds, so that an API server that is away delays the speaker and does not stop it.
func insist(ctx context.Context, log logr.Logger, start func(context.Context) error) error {
	for {
		err := start(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		log.Info("API server is not reachable, will retry", "error", err.Error())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryStart):
		}
	}
}
