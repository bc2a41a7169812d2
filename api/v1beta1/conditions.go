// SPDX-License-Identifier: Apache-2.0

package v1beta1

// Condition types on Services, written by the controller.
const (
	// ConditionAddressAllocated is True while the Service has the addresses that it asks for; else its reason says why not.
	ConditionAddressAllocated = "metallb.io/AddressAllocated"
	// ConditionAddressConflict is present, and True, while something else uses an address of the Service; its reason says what.
	ConditionAddressConflict = "metallb.io/AddressConflict"
)

// Condition types on MetalLB. Available, Progressing, Degraded and Upgradeable summarise the others.
const (
	// ConditionAvailable is True while every enabled component is available.
	ConditionAvailable = "Available"
	// ConditionProgressing is True while a change is being rolled out.
	ConditionProgressing = "Progressing"
	// ConditionDegraded is True while something has failed that waiting alone does not mend.
	ConditionDegraded = "Degraded"
	// ConditionUpgradeable is True while the suite may be upgraded.
	ConditionUpgradeable = "Upgradeable"
	// ConditionControllerAvailable is True while the controller Deployment is rolled out and available.
	ConditionControllerAvailable = "ControllerAvailable"
	// ConditionSpeakerAvailable is True while the speaker DaemonSet is rolled out and available.
	ConditionSpeakerAvailable = "SpeakerAvailable"
	// ConditionEndpointCopierAvailable is True while the endpoint-copier Deployment is rolled out and available, or is not wanted.
	ConditionEndpointCopierAvailable = "EndpointCopierAvailable"
	// ConditionNativeBackend is present, and True, while spec.bgpBackend names another backend than the native one, which serves it.
	ConditionNativeBackend = "NativeBackend"
	// ConditionStrayObjects is present, and True, while objects of the suite are in other namespaces than its own, where they do nothing.
	ConditionStrayObjects = "StrayObjects"
	// ConditionForeignFields is present, and True, while somebody else has set fields in the workloads, which the operator leaves as they are.
	ConditionForeignFields = "ForeignFields"
)

// Condition types on the objects of the policy and on ConfigurationState.
const (
	// ConditionValid is True while the policy uses the object; else its reason says what is wrong with it.
	ConditionValid = "Valid"
	// ConditionEstablished is True while every node that a BGPPeer selects and that has a speaker has a session with the peer, Unknown while
	// no speaker tells; else its reason is that of the node whose session is worst.
	ConditionEstablished = "Established"
	// ConditionActive is True while an IPReservation keeps addresses; its reason says what is wrong with it, or why it keeps none.
	ConditionActive = "Active"
	// ConditionPoolReconcilerValid is the controller's verdict in its ConfigurationState.
	ConditionPoolReconcilerValid = "poolReconcilerValid"
	// ConditionConfigReconcilerValid is a speaker's verdict in its ConfigurationState.
	ConditionConfigReconcilerValid = "configReconcilerValid"
)
