// SPDX-License-Identifier: Apache-2.0

package service

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

const identityNamespace = "metallb-system"

// newPlayer starts a controller in an empty world.
func newPlayer(t *testing.T) *player {
	p := &player{world: newWorld(nil), options: Options{Namespace: identityNamespace}, told: toldEvents{}}
	p.world.apply(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: identityNamespace}})
	p.start()
	t.Cleanup(p.stop)
	return p
}

func (p *player) rest(t *testing.T) {
	t.Helper()
	if err := p.process.settle(); err != nil {
		t.Fatal(err)
	}
}

func poolOf(name string, change func(*v1beta1.IPAddressPool), addresses ...string) *v1beta1.IPAddressPool {
	p := &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Namespace: identityNamespace, Name: name}, Spec: v1beta1.IPAddressPoolSpec{Addresses: addresses}}
	if change != nil {
		change(p)
	}
	return p
}

func loadBalancer(name string, annotations map[string]string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: identityNamespace, Name: name, Annotations: annotations},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}
}

// reservationOf keeps what the Service of this name has.
func reservationOf(service string) *v1beta1.IPReservation {
	return &v1beta1.IPReservation{
		ObjectMeta: metav1.ObjectMeta{Namespace: identityNamespace, Name: service},
		Spec:       v1beta1.IPReservationSpec{Service: &v1beta1.ServiceReference{Namespace: identityNamespace, Name: service}},
	}
}

// has checks the addresses of a Service as the API server has it, and the reason of its condition.
func (p *player) has(t *testing.T, name string, why reason.Reason, addresses ...string) {
	t.Helper()
	s := p.world.served.find(loadBalancer(name, nil)).(*corev1.Service)
	state := "False/"
	if len(addresses) > 0 {
		state = "True/"
	}
	if got := verdict(s); !slices.Equal(ips(s), addresses) || got != state+string(why) {
		t.Errorf("%s has %v, %s; want %v, %s%s", name, ips(s), got, addresses, state, why)
	}
}

func TestAPoolThatWasRecreatedUnderItsNameIsGrantedFrom(t *testing.T) {
	p := newPlayer(t)
	p.world.apply(poolOf("blue", nil, "198.18.1.0/24"))
	p.world.apply(loadBalancer("web", nil))
	p.rest(t)
	p.has(t, "web", reason.Allocated, "198.18.1.0")

	p.world.remove(poolOf("blue", nil))
	p.world.apply(poolOf("blue", nil, "198.18.2.0/24"))
	p.world.relist("IPAddressPool")
	p.rest(t)
	p.has(t, "web", reason.Allocated, "198.18.2.0")
	pool := p.world.served.find(poolOf("blue", nil)).(*v1beta1.IPAddressPool)
	if pool.Status.AssignedIPv4 != 1 || pool.Status.AvailableIPv4 != 255 {
		t.Errorf("the status of the new pool is %+v", pool.Status)
	}
}

func TestAReservationThatWasRecreatedUnderItsNameKeepsItsOwnAddresses(t *testing.T) {
	reservation := func(address string) *v1beta1.IPReservation {
		return &v1beta1.IPReservation{
			ObjectMeta: metav1.ObjectMeta{Namespace: identityNamespace, Name: "kept"}, Spec: v1beta1.IPReservationSpec{Addresses: []string{address}},
		}
	}
	p := newPlayer(t)
	p.world.apply(poolOf("blue", nil, "198.18.1.1-198.18.1.2"))
	p.world.apply(reservation("198.18.1.1/32"))
	p.rest(t)

	p.world.remove(reservation(""))
	p.world.apply(reservation("198.18.1.2/32"))
	p.world.relist("IPReservation")
	p.world.apply(loadBalancer("web", nil))
	p.rest(t)
	p.has(t, "web", reason.Allocated, "198.18.1.1")
	got := p.world.served.find(reservation("")).(*v1beta1.IPReservation).Status
	if !slices.Equal(got.Addresses, []string{"198.18.1.2/32"}) {
		t.Errorf("the status of the new reservation is %+v", got)
	}
}

func TestAServiceThatWasRecreatedUnderItsNameStartsAfresh(t *testing.T) {
	manual := func(p *v1beta1.IPAddressPool) { no := false; p.Spec.AutoAssign = &no }
	asks := map[string]string{v1beta1.AnnotationAddressPool: "manual"}
	p := newPlayer(t)
	p.world.apply(poolOf("manual", manual, "198.18.1.1/32"))
	p.world.apply(loadBalancer("web", asks))
	p.rest(t)
	p.world.apply(loadBalancer("waits", asks))
	p.rest(t)
	p.has(t, "web", reason.Allocated, "198.18.1.1")
	p.has(t, "waits", reason.PoolExhausted)

	p.world.remove(loadBalancer("web", nil))
	p.world.apply(loadBalancer("web", nil))
	p.world.relist("Service")
	p.rest(t)
	p.has(t, "web", reason.NoMatchingPool)
	p.has(t, "waits", reason.Allocated, "198.18.1.1")
}

func TestAServiceThatWaitedBeforeComesBeforeARecreatedOne(t *testing.T) {
	p := newPlayer(t)
	p.world.apply(poolOf("blue", nil, "198.18.1.1/32"))
	p.world.apply(loadBalancer("web", nil))
	p.rest(t)
	p.world.apply(loadBalancer("waits", nil))
	p.rest(t)

	p.world.remove(loadBalancer("web", nil))
	p.world.apply(loadBalancer("web", nil))
	p.rest(t)
	p.has(t, "waits", reason.Allocated, "198.18.1.1")
	p.has(t, "web", reason.PoolExhausted)
}

func TestAReservationHoldsForAServiceThatWasRecreatedUnderItsName(t *testing.T) {
	p := newPlayer(t)
	p.world.apply(poolOf("blue", nil, "198.18.1.1-198.18.1.3"))
	p.world.apply(loadBalancer("first", nil))
	p.world.apply(loadBalancer("web", nil))
	p.world.apply(reservationOf("web"))
	p.rest(t)
	p.has(t, "web", reason.Allocated, "198.18.1.2")

	p.world.remove(loadBalancer("first", nil))
	p.world.remove(loadBalancer("web", nil))
	p.world.apply(loadBalancer("web", nil))
	p.world.relist("Service")
	p.rest(t)
	p.has(t, "web", reason.Allocated, "198.18.1.2")
}

// TestAReservationKeepsWhatItsServiceHadBeforeItLostThat has a Service with a new reservation and an address that the only pool of late is not
// to give it. Another Service, which the pool is for, must not get the address.
func TestAReservationKeepsWhatItsServiceHadBeforeItLostThat(t *testing.T) {
	forOthers := func(p *v1beta1.IPAddressPool) {
		others := metav1.LabelSelector{MatchLabels: map[string]string{"app": "other"}}
		p.Spec.ServiceAllocation = &v1beta1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{others}}
	}
	for name, between := range map[string]func(*testing.T, *player){
		"a controller that found no pool when it started": func(t *testing.T, p *player) {
			p.stop()
			p.world.remove(poolOf("blue", nil))
			p.world.apply(reservationOf("web"))
			p.start()
			p.rest(t)
			p.has(t, "web", reason.NoPools, "198.18.1.1")
		},
		"a controller that hears of the reservation and of the loss at once": func(_ *testing.T, p *player) {
			p.world.remove(poolOf("blue", nil))
			p.world.apply(reservationOf("web"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlayer(t)
			p.world.apply(poolOf("blue", nil, "198.18.1.1/32"))
			p.world.apply(loadBalancer("web", nil))
			p.rest(t)
			between(t, p)
			p.world.apply(poolOf("green", forOthers, "198.18.1.1-198.18.1.2"))
			p.rest(t)
			p.has(t, "web", reason.NoMatchingPool)
			other := loadBalancer("other", nil)
			other.Labels = map[string]string{"app": "other"}
			p.world.apply(other)
			p.rest(t)
			p.has(t, "other", reason.Allocated, "198.18.1.2")
			kept := p.world.served.find(reservationOf("web")).(*v1beta1.IPReservation).Status.Addresses
			if !slices.Equal(kept, []string{"198.18.1.1"}) {
				t.Errorf("the reservation keeps %v", kept)
			}
		})
	}
}

func TestADecisionIsNotWrittenToAnotherServiceOfTheName(t *testing.T) {
	p := newPlayer(t)
	p.world.apply(poolOf("blue", nil, "198.18.1.1/32"))
	p.rest(t)
	p.world.apply(loadBalancer("web", nil))
	p.process.hear("Service")
	if err := p.process.reconcile(0); err != nil || len(p.process.services) != 1 {
		t.Fatalf("%v, to be written: %v", err, p.process.services)
	}
	p.world.remove(loadBalancer("web", nil))
	p.world.apply(loadBalancer("web", nil))
	p.process.hear("Service")
	p.process.hear("Service")
	if err := p.process.write(0); err != nil {
		t.Fatal(err)
	}
	if s := p.world.served.find(loadBalancer("web", nil)).(*corev1.Service); len(ips(s)) > 0 || isMarked(s) {
		t.Errorf("the second Service was given %v", ips(s))
	}
	p.rest(t)
	p.has(t, "web", reason.Allocated, "198.18.1.1")
}
