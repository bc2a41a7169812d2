// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/policy"
)

// The configuration that says when the API server asks. hack/manifests.sh generates config/webhook from these markers; the paths are
// those of kind.path.
//
// +kubebuilder:webhookconfiguration:mutating=false,name=metallb-webhook-configuration
// +kubebuilder:webhook:path=/validate-metallb-io-v1beta1-ipaddresspool,name=ipaddresspoolvalidationwebhook.metallb.io,groups=metallb.io,versions=v1beta1,resources=ipaddresspools,verbs=create;update;delete,mutating=false,failurePolicy=ignore,matchPolicy=Equivalent,sideEffects=None,timeoutSeconds=5,admissionReviewVersions=v1,serviceName=metallb-webhook-service,serviceNamespace=metallb-system
// +kubebuilder:webhook:path=/validate-metallb-io-v1beta1-l2advertisement,name=l2advertisementvalidationwebhook.metallb.io,groups=metallb.io,versions=v1beta1,resources=l2advertisements,verbs=create;update,mutating=false,failurePolicy=ignore,matchPolicy=Equivalent,sideEffects=None,timeoutSeconds=5,admissionReviewVersions=v1,serviceName=metallb-webhook-service,serviceNamespace=metallb-system
// +kubebuilder:webhook:path=/validate-metallb-io-v1beta1-ipreservation,name=ipreservationvalidationwebhook.metallb.io,groups=metallb.io,versions=v1beta1,resources=ipreservations,verbs=create;update,mutating=false,failurePolicy=ignore,matchPolicy=Equivalent,sideEffects=None,timeoutSeconds=5,admissionReviewVersions=v1,serviceName=metallb-webhook-service,serviceNamespace=metallb-system
// +kubebuilder:webhook:path=/validate-metallb-io-v1beta1-bgpadvertisement,name=bgpadvertisementvalidationwebhook.metallb.io,groups=metallb.io,versions=v1beta1,resources=bgpadvertisements,verbs=create;update,mutating=false,failurePolicy=ignore,matchPolicy=Equivalent,sideEffects=None,timeoutSeconds=5,admissionReviewVersions=v1,serviceName=metallb-webhook-service,serviceNamespace=metallb-system
// +kubebuilder:webhook:path=/validate-metallb-io-v1beta2-bgppeer,name=bgppeervalidationwebhook.metallb.io,groups=metallb.io,versions=v1beta2,resources=bgppeers,verbs=create;update;delete,mutating=false,failurePolicy=ignore,matchPolicy=Equivalent,sideEffects=None,timeoutSeconds=5,admissionReviewVersions=v1,serviceName=metallb-webhook-service,serviceNamespace=metallb-system
// +kubebuilder:webhook:path=/validate-metallb-io-v1beta1-community,name=communityvalidationwebhook.metallb.io,groups=metallb.io,versions=v1beta1,resources=communities,verbs=create;update;delete,mutating=false,failurePolicy=ignore,matchPolicy=Equivalent,sideEffects=None,timeoutSeconds=5,admissionReviewVersions=v1,serviceName=metallb-webhook-service,serviceNamespace=metallb-system
// +kubebuilder:webhook:path=/validate-metallb-io-v1beta1-bfdprofile,name=bfdprofilevalidationwebhook.metallb.io,groups=metallb.io,versions=v1beta1,resources=bfdprofiles,verbs=create;update;delete,mutating=false,failurePolicy=ignore,matchPolicy=Equivalent,sideEffects=None,timeoutSeconds=5,admissionReviewVersions=v1,serviceName=metallb-webhook-service,serviceNamespace=metallb-system
// +kubebuilder:webhook:path=/validate-metallb-io-v1beta1-metallb,name=metallbvalidationwebhook.metallb.io,groups=metallb.io,versions=v1beta1,resources=metallbs,verbs=create;update,mutating=false,failurePolicy=ignore,matchPolicy=Equivalent,sideEffects=None,timeoutSeconds=5,admissionReviewVersions=v1,serviceName=metallb-webhook-service,serviceNamespace=metallb-system

// kinds are all that a policy is compiled from.
func kinds() []kind {
	return []kind{
		kindOf(policy.KindIPAddressPool, "v1beta1", func(o *policy.Objects) *[]v1beta1.IPAddressPool { return &o.Pools }).also(poolChange),
		kindOf(policy.KindL2Advertisement, "v1beta1", func(o *policy.Objects) *[]v1beta1.L2Advertisement { return &o.L2Advertisements }),
		kindOf(policy.KindBGPAdvertisement, "v1beta1", func(o *policy.Objects) *[]v1beta1.BGPAdvertisement { return &o.BGPAdvertisements }),
		kindOf(policy.KindBGPPeer, "v1beta2", func(o *policy.Objects) *[]v1beta2.BGPPeer { return &o.BGPPeers }).also(peerChange),
		kindOf(policy.KindCommunity, "v1beta1", func(o *policy.Objects) *[]v1beta1.Community { return &o.Communities }),
		kindOf(policy.KindBFDProfile, "v1beta1", func(o *policy.Objects) *[]v1beta1.BFDProfile { return &o.BFDProfiles }).also(profileChange),
		kindOf(policy.KindIPReservation, "v1beta1", func(o *policy.Objects) *[]v1beta1.IPReservation { return &o.Reservations }),
	}
}

// kind is what the validator must know of a kind of objects.
type kind struct {
	name, version string
	// decode reads an object of the kind from JSON.
	decode func(raw []byte) (client.Object, error)
	// put replaces the object of this name by another one, or removes it when there is no other.
	put func(o *policy.Objects, name string, by client.Object)
	// born is a creation time at which an object is the youngest of its kind.
	born func(o *policy.Objects) metav1.Time
	// more is what the kind is checked for besides its problems; nil for nothing.
	more check
}

func kindOf[T any, P interface {
	*T
	client.Object
}](name, version string, list func(*policy.Objects) *[]T) kind {
	return kind{
		name: name, version: version,
		decode: func(raw []byte) (client.Object, error) {
			object := P(new(T))
			if err := json.Unmarshal(raw, object); err != nil {
				return nil, fmt.Errorf("decoding a %s: %w", name, err)
			}
			return object, nil
		},
		put: func(o *policy.Objects, name string, by client.Object) {
			others := slices.DeleteFunc(slices.Clone(*list(o)), func(x T) bool { return P(&x).GetName() == name })
			if object, ok := by.(P); ok {
				others = append(others, *object)
			}
			*list(o) = others
		},
		born: func(o *policy.Objects) metav1.Time {
			youngest := time.Unix(0, 0)
			for i := range *list(o) {
				if t := P(&(*list(o))[i]).GetCreationTimestamp(); t.After(youngest) {
					youngest = t.Time
				}
			}
			return metav1.NewTime(youngest.Add(time.Second))
		},
	}
}

func (k kind) also(more check) kind {
	k.more = more
	return k
}

// path is where the API server asks about the kind.
func (k kind) path() string {
	return "/validate-metallb-io-" + k.version + "-" + strings.ToLower(k.name)
}
