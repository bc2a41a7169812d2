// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/record"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/policy"
)

func TestOneCollectionHasEveryProblemOfTheNode(t *testing.T) {
	here, there := bgpPeer("here", "198.51.100.1"), bgpPeer("there", "198.51.100.1")
	here.Spec.BFDProfile, here.Spec.NodeSelectors = "gone", onNode("n1")
	there.Spec.BFDProfile, there.Spec.NodeSelectors = "gone", onNode("n2")
	unknown := v1beta1.BGPAdvertisementSpec{Peers: []string{"nobody"}}
	unknownHere, unknownThere := unknown, unknown
	unknownHere.NodeSelectors, unknownThere.NodeSelectors = onNode("n1"), onNode("n2")
	missing := map[string]*reason.Problem{"tor": reason.New(reason.PasswordSecretMissing, "the Secret tor does not exist")}
	for _, row := range []struct {
		name    string
		outcome Outcome
		want    []string
	}{
		{"nothing decided yet", Outcome{}, nil},
		{"nothing wrong", Outcome{World: World{Policy: routed(nil)}}, nil},
		{"a peer of this node that is left out", Outcome{World: World{Policy: routed(nil, here)}}, []string{"error  BGPPeer here UnknownBFDProfile"}},
		{"a peer of another node", Outcome{World: World{Policy: routed(nil, there)}}, nil},
		{"a password", Outcome{World: World{Policy: routed(nil)}, Plan: Plan{LeftOut: missing}}, []string{"error  BGPPeer tor PasswordSecretMissing"}},
		{"an empty password", Outcome{World: World{Policy: routed(nil)}, Plan: Plan{Warned: map[string]*reason.Problem{"tor": reason.New(reason.PasswordEmpty, "")}}},
			[]string{"warning  BGPPeer tor PasswordEmpty"}},
		{"an advertisement that does less than it says", Outcome{World: World{Policy: routed([]v1beta1.BGPAdvertisement{bgpAd("ad", unknownHere)})}},
			[]string{"warning  BGPAdvertisement ad UnknownPeer"}},
		{"such an advertisement of another node", Outcome{World: World{Policy: routed([]v1beta1.BGPAdvertisement{bgpAd("ad", unknownThere)})}}, nil},
		{"an announcer", Outcome{Reports: map[string]announcers.Report{"bgp": {}, "l2": {Problem: reason.New(reason.RawSocketDenied, "")}}},
			[]string{"fault l2Announcer   RawSocketDenied"}},
		{"the node", Outcome{Unable: reason.New(reason.NoCarrier, "")}, []string{"fault nodeAble   NoCarrier"}},
		{"the key of the speakers", Outcome{Membership: []*reason.Problem{reason.New(reason.GossipKeyDiffers, ""), reason.New(reason.GossipDelayed, "")}},
			[]string{"fault membership   GossipKeyDiffers"}},
		{"a busy machine", Outcome{Membership: []*reason.Problem{reason.New(reason.GossipDelayed, "")}}, []string{"warning membership   GossipDelayed"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.outcome.Node = "n1"
			var got []string
			for _, p := range row.outcome.problems() {
				got = append(got, strings.Join([]string{string(p.severity), p.part, p.object.Kind, p.object.Name, string(p.Reason)}, " "))
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestALineNamesTheObjectTheReasonAndTheFix(t *testing.T) {
	p := problem{severity: leftOut, object: policy.ObjectRef{Kind: policy.KindBGPPeer, Name: "tor"}, Problem: *reason.New(reason.PasswordSecretMissing, "the Secret tor does not exist")}
	want := "BGPPeer tor: PasswordSecretMissing: the Secret tor does not exist. " + reason.PasswordSecretMissing.Text().Fix
	if got := lines([]problem{p}, leftOut); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// stateReader finds a ConfigurationState unless it is not there yet.
type stateReader struct {
	client.Reader
	missing bool
}

func (r *stateReader) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if r.missing {
		return context.DeadlineExceeded
	}
	into.SetName(key.Name)
	return nil
}

func TestAPartThatDoesNotWorkIsTheSubjectOfOneEvent(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	recorder, reader := record.NewFakeRecorder(10), &stateReader{missing: true}
	e := newEvents(recorder, reader, "n1", namespace, now)
	denied := reason.New(reason.RawSocketDenied, "no NET_RAW")
	broken := Outcome{Node: "n1", Reports: map[string]announcers.Report{"l2": {Problem: denied}}, Unable: denied}
	tell := func(o Outcome) time.Duration { return e.ofParts(t.Context(), "speaker-n1", o.parts()) }
	recorded := func() (all []string) {
		for len(recorder.Events) > 0 {
			all = append(all, <-recorder.Events)
		}
		return all
	}
	if again := tell(broken); again != silenceTold || len(recorded()) > 0 {
		t.Fatalf("at once: another look after %v", again)
	}
	now.SetTime(now.Now().Add(silenceTold))
	if again := tell(broken); again != repairAfter || len(recorded()) > 0 {
		t.Fatalf("before the object is known: another look after %v", again)
	}
	reader.missing = false
	tell(broken)
	tell(broken)
	const want = "Warning RawSocketDenied announcer l2 does not work on node n1: no NET_RAW"
	if got := recorded(); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Fatalf("got %q, want one of %q", got, want)
	}
	tell(Outcome{Node: "n1"})
	if got := recorded(); len(got) > 0 {
		t.Errorf("after it works again: got %q", got)
	}
}
