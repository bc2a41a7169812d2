// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/record"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"metalsuite.io/announcers"
	"metalsuite.io/api/v1beta1"
)

// blind is an API server and a watch that shows no conflict; it counts what is written.
type blind struct {
	client.WithWatch
	creates, patches, deletes int
}

func newBlind(t *testing.T) *blind {
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	b := &blind{}
	b.WithWatch = fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(_ context.Context, _ client.WithWatch, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
			return apierrors.NewNotFound(schema.GroupResource{Group: v1beta1.GroupVersion.Group, Resource: "addressconflicts"}, key.Name)
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			b.creates++
			return c.Create(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			b.patches++
			return c.Patch(ctx, o, p, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			b.deletes++
			return c.Delete(ctx, o, opts...)
		},
	}).Build()
	return b
}

func TestAWatchThatIsLateCostsNoObject(t *testing.T) {
	api := newBlind(t)
	now := clocktesting.NewFakePassiveClock(time.Unix(2_000_000_000, 0))
	status := NewStatus(StatusOptions{
		Client: api, Recorder: record.NewFakeRecorder(100), Node: "n1", Namespace: namespace, PodName: "speaker-x", PodUID: "123",
		Clock: now, Log: logr.Discard(),
	})
	since, last := now.Now(), ""
	for i := range 15 {
		last = []string{theirs, ""}[i%2]
		status.Report(Outcome{Node: "n1", Conflicts: []announcers.Conflict{{
			Addr: disputed, HardwareAddress: last, Withdrawn: true, Since: since, Last: now.Now(),
		}}})
		if err := status.write(t.Context(), conflictKey(disputed)); err != nil {
			t.Fatal(err)
		}
		now.SetTime(now.Now().Add(time.Second))
	}
	var list v1beta1.AddressConflictList
	if err := api.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || api.creates != 3 || api.patches != 2 || api.deletes != 0 {
		t.Fatalf("%d objects after %d creates, %d patches and %d deletes", len(list.Items), api.creates, api.patches, api.deletes)
	}
}

func TestAnObjectThatIsNotFoundIsMadeWhatItIsToBe(t *testing.T) {
	api := newBlind(t)
	now := time.Unix(2_000_000_000, 0)
	status := NewStatus(StatusOptions{
		Client: api, Recorder: record.NewFakeRecorder(100), Node: "n1", Namespace: namespace, PodName: "speaker-x", PodUID: "123",
		Clock: clocktesting.NewFakePassiveClock(now), Log: logr.Discard(),
	})
	old := &v1beta1.AddressConflict{Status: v1beta1.AddressConflictStatus{Address: disputed.String(), Interface: "eth9", HardwareAddress: another, Withdrawn: true, PartlyWithdrawn: true}}
	old.Name, old.Namespace, old.Labels = status.conflictName(disputed), namespace, map[string]string{"theirs": "too"}
	if err := api.WithWatch.Create(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	status.Report(Outcome{Node: "n1", Uses: used("LocalAddress").Uses, World: World{Services: []Service{{Addresses: []netip.Addr{disputed}}}}})
	if err := status.write(t.Context(), conflictKey(disputed)); err != nil {
		t.Fatal(err)
	}
	var list v1beta1.AddressConflictList
	if err := api.List(t.Context(), &list, client.MatchingLabels{v1beta1.LabelNode: "n1", "theirs": "too"}); err != nil || len(list.Items) != 1 {
		t.Fatalf("found %d, %v", len(list.Items), err)
	}
	got := list.Items[0]
	want := v1beta1.AddressConflictStatus{
		Address: disputed.String(), Node: "n1", Reason: "LocalAddress", Message: "it is on eth1", Withdrawn: true, FirstSeen: second(now), LastSeen: second(now),
	}
	if outdated(got.Status, want) || !got.Status.LastSeen.Equal(&want.LastSeen) || len(got.OwnerReferences) != 1 || got.OwnerReferences[0].Name != "speaker-x" {
		t.Errorf("it says %+v, of %v", got.Status, got.OwnerReferences)
	}
}
