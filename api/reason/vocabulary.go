// SPDX-License-Identifier: Apache-2.0

package reason

// Allocation of addresses to Services.
const (
	Allocated            Reason = "Allocated"
	NoPools              Reason = "NoPools"
	NoMatchingPool       Reason = "NoMatchingPool"
	PoolNotFound         Reason = "PoolNotFound"
	PoolNotAllowed       Reason = "PoolNotAllowed"
	PoolExhausted        Reason = "PoolExhausted"
	FamilyMissing        Reason = "FamilyMissing"
	AddressNotInPool     Reason = "AddressNotInPool"
	AddressInUse         Reason = "AddressInUse"
	SharingKeyDiffers    Reason = "SharingKeyDiffers"
	SharingBackendDiffer Reason = "SharingBackendDiffers"
	SharingPortCollides  Reason = "SharingPortCollides"
	NodeAddress          Reason = "NodeAddress"
	APIServerAddress     Reason = "APIServerAddress"
	ServiceCIDRAddress   Reason = "ServiceCIDRAddress"
	PodCIDRAddress       Reason = "PodCIDRAddress"
	ClusterIPAddress     Reason = "ClusterIPAddress"
	NetworkAddress       Reason = "NetworkAddress"
	BroadcastAddress     Reason = "BroadcastAddress"
	SubnetRouterAnycast  Reason = "SubnetRouterAnycastAddress"
	AddressReserved      Reason = "AddressReserved"
	InvalidRequest       Reason = "InvalidRequest"
	NoClusterIP          Reason = "NoClusterIP"
	NotEnoughClusterIPs  Reason = "NotEnoughClusterIPs"
	PoolFrozen           Reason = "PoolFrozen"
	FamilyMismatch       Reason = "FamilyMismatch"
	RequestChanged       Reason = "RequestChanged"
	IPAllocated          Reason = "IPAllocated"
	ClearAssignment      Reason = "ClearAssignment"
	ForeignStatusWriter  Reason = "ForeignStatusWriter"
)

// Objects of the policy that are left out or served otherwise.
const (
	Valid                Reason = "Valid"
	InvalidAddressRange  Reason = "InvalidAddressRange"
	NoAddresses          Reason = "NoAddresses"
	PoolOverlap          Reason = "PoolOverlap"
	OverlapsCluster      Reason = "OverlapsClusterAddresses"
	InvalidSelector      Reason = "InvalidSelector"
	DuplicateEntry       Reason = "DuplicateEntry"
	ConfigurationError   Reason = "ConfigurationError"
	ConfigurationWarning Reason = "ConfigurationWarning"
	ServiceCIDRsUnknown  Reason = "ServiceCIDRsUnknown"
	InvalidAggregation   Reason = "InvalidAggregation"
	InvalidMetric        Reason = "InvalidMetric"
	InvalidCommunity     Reason = "InvalidCommunity"
	UnknownCommunity     Reason = "UnknownCommunity"
	InvalidBGPPeer       Reason = "InvalidBGPPeer"
	InvalidBFDProfile    Reason = "InvalidBFDProfile"
	UnknownBFDProfile    Reason = "UnknownBFDProfile"
	EchoExcludesIPv6     Reason = "EchoExcludesIPv6"
	DuplicatePeer        Reason = "DuplicatePeer"
	UnknownPeer          Reason = "UnknownPeer"
	UnknownPool          Reason = "UnknownPool"
	NoNodeSelected       Reason = "NoNodeSelected"
	LocalPrefConflict    Reason = "LocalPrefConflict"
	ReservationActive    Reason = "ReservationActive"
	ReservationExpired   Reason = "ReservationExpired"
	ReservationOverlap   Reason = "ReservationOverlap"
	NothingToReserve     Reason = "NothingToReserve"
	Reconciled           Reason = "Reconciled"
)

// Announcing.
const (
	Announced                       Reason = "Announced"
	UnknownAnnouncer                Reason = "UnknownAnnouncer"
	AnnouncerNotAvailable           Reason = "AnnouncerNotAvailable"
	AnnouncerNotRunning             Reason = "AnnouncerNotRunning"
	RawSocketDenied                 Reason = "RawSocketDenied"
	InterfaceMissing                Reason = "InterfaceMissing"
	NoUsableInterface               Reason = "NoUsableInterface"
	NoCarrier                       Reason = "NoCarrier"
	LocalAddress                    Reason = "LocalAddress"
	FamilyNotServed                 Reason = "FamilyNotServed"
	NextHopAddress                  Reason = "NextHopAddress"
	AddressConflict                 Reason = "AddressConflict"
	NoLinkLocalAddress              Reason = "NoLinkLocalAddress"
	NotOwner                        Reason = "NotOwner"
	AddressDuplicate                Reason = "AddressDuplicate"
	NoMatchingAdvertisement         Reason = "NoMatchingAdvertisement"
	SharingExcludesServiceSelectors Reason = "SharingExcludesServiceSelectors"
	NoEndpoints                     Reason = "NoEndpoints"
	NoLocalEndpoints                Reason = "NoLocalEndpoints"
	NoSpeakerOnNode                 Reason = "NoSpeakerOnNode"
	NodeNetworkUnavailable          Reason = "NodeNetworkUnavailable"
	NodeExcluded                    Reason = "NodeExcluded"
	NodeRemoved                     Reason = "NodeRemoved"
	NodeShuttingDown                Reason = "NodeShuttingDown"
	SpeakersRemoved                 Reason = "SpeakersRemoved"
	NodeNotSelected                 Reason = "NodeNotSelected"
	AnnouncerRemoved                Reason = "AnnouncerRemoved"
)

// Membership of the speakers.
const (
	GossipKeyInvalid Reason = "GossipKeyInvalid"
	GossipKeyDiffers Reason = "GossipKeyDiffers"
	GossipPortTaken  Reason = "GossipPortTaken"
	GossipUDPBlocked Reason = "GossipUDPBlocked"
	GossipDelayed    Reason = "GossipDelayed"
	MemberNameTaken  Reason = "MemberNameTaken"
)

// Sessions with BGP peers.
const (
	SessionEstablished        Reason = "SessionEstablished"
	SessionConnecting         Reason = "SessionConnecting"
	SessionFlapping           Reason = "SessionFlapping"
	SessionEnded              Reason = "SessionEnded"
	NotReported               Reason = "NotReported"
	NoPeers                   Reason = "NoPeers"
	NoNodes                   Reason = "NoNodes"
	PeerUnreachable           Reason = "PeerUnreachable"
	ConnectionRefused         Reason = "ConnectionRefused"
	PeerASNMismatch           Reason = "PeerASNMismatch"
	PasswordMismatchSuspected Reason = "PasswordMismatchSuspected"
	PasswordSecretMissing     Reason = "PasswordSecretMissing"
	PasswordEmpty             Reason = "PasswordEmpty"
	PasswordNotRefreshed      Reason = "PasswordNotRefreshed"
	HoldTimerExpired          Reason = "HoldTimerExpired"
	PeerClosedSession         Reason = "PeerClosedSession"
	InvalidPeerMessage        Reason = "InvalidPeerMessage"
	RouterIDConflict          Reason = "RouterIDConflict"
	EngineCrashed             Reason = "EngineCrashed"
	NoSourceAddress           Reason = "NoSourceAddress"
	VRFMissing                Reason = "VRFMissing"
	NoRouterAdvertisement     Reason = "NoRouterAdvertisement"
	NoNextHop                 Reason = "NoNextHop"
	FamilyNotNegotiated       Reason = "FamilyNotNegotiated"
	EngineOutOfMemory         Reason = "EngineOutOfMemory"
	TooManyCommunities        Reason = "TooManyCommunities"
	TooManyRoutes             Reason = "TooManyRoutes"
	NodeDraining              Reason = "NodeDraining"
	BFDDown                   Reason = "BFDDown"
	BFDNotAvailable           Reason = "BFDNotAvailable"
	BFDEchoNotUsed            Reason = "BFDEchoNotUsed"
)

// Installation by the operator.
const (
	AsExpected            Reason = "AsExpected"
	RollingOut            Reason = "RollingOut"
	OperandMissing        Reason = "OperandMissing"
	OperandNotReady       Reason = "OperandNotReady"
	ApplyFailed           Reason = "ApplyFailed"
	PodsRefused           Reason = "PodsRefused"
	GossipKeyMissing      Reason = "GossipKeyMissing"
	SelectorDiffers       Reason = "SelectorDiffers"
	ForeignFields         Reason = "ForeignFields"
	SpeakerNodeNotReady   Reason = "SpeakerNodeNotReady"
	WrongName             Reason = "IncorrectMetalLBResourceName"
	WrongNamespace        Reason = "IncorrectMetalLBResourceNamespace"
	StrayObject           Reason = "IncorrectNamespace"
	NativeBackendServes   Reason = "NativeBackendServes"
	ComponentDisabled     Reason = "ComponentDisabled"
	NamespaceTerminating  Reason = "NamespaceTerminating"
	EndpointSourceMissing Reason = "EndpointSourceMissing"
	EndpointFamilyMissing Reason = "EndpointFamilyMissing"
	TargetHasSelector     Reason = "TargetHasSelector"
	TargetIsExternalName  Reason = "TargetIsExternalName"
	EndpointsCopied       Reason = "EndpointsCopied"
	SourceNotAllowed      Reason = "SourceNotAllowed"
	SliceNameTaken        Reason = "SliceNameTaken"
)

// Settings of the MetalLB resource, and where they lead.
const (
	NoNodesForSpeakers      Reason = "NoNodesForSpeakers"
	AllocationOnly          Reason = "AllocationOnly"
	InvalidInterfacePattern Reason = "InvalidInterfacePattern"
	AllInterfacesExcluded   Reason = "AllInterfacesExcluded"
	InvalidSetting          Reason = "InvalidSetting"
)

var vocabulary = map[Reason]Text{
	Allocated:            {Sentence: "the Service has its addresses"},
	NoPools:              {Sentence: "there is no valid IPAddressPool", Fix: "Create an IPAddressPool in the namespace of the MetalLB resource"},
	NoMatchingPool:       {Sentence: "no IPAddressPool allows this Service", Fix: "Let a pool's serviceAllocation match the Service, or create a pool with autoAssign and without serviceAllocation"},
	PoolNotFound:         {Sentence: "the requested IPAddressPool does not exist", Fix: "Correct the annotation metallb.io/address-pool or create the pool"},
	PoolNotAllowed:       {Sentence: "the requested IPAddressPool does not allow this Service", Fix: "Request another pool or widen the pool's serviceAllocation"},
	PoolExhausted:        {Sentence: "no address is free", Fix: "Add addresses to a pool or delete a Service that is not in use"},
	FamilyMissing:        {Sentence: "no pool has the address family that the Service needs", Fix: "Add a range of that family to a pool, or change the Service's ipFamilies"},
	AddressNotInPool:     {Sentence: "the requested address is in no IPAddressPool", Fix: "Request an address of a pool or add it to one"},
	AddressInUse:         {Sentence: "the requested address is assigned to another Service", Fix: "Request another address, or let both Services share it with the same metallb.io/allow-shared-ip"},
	SharingKeyDiffers:    {Sentence: "the Services on this address have another sharing key", Fix: "Give both Services the same value of metallb.io/allow-shared-ip"},
	SharingBackendDiffer: {Sentence: "Services with externalTrafficPolicy Local share an address only with equal selectors", Fix: "Use externalTrafficPolicy Cluster or the same selector on both Services"},
	SharingPortCollides:  {Sentence: "another Service on this address uses the same protocol and port", Fix: "Use another port or another address"},
	NodeAddress:          {Sentence: "the address belongs to a node of the cluster", Fix: "Take the node's address out of the pool or request another one; a Service of type NodePort, or a pod with hostPort, serves on the node's own address"},
	APIServerAddress:     {Sentence: "the address belongs to the Kubernetes API server", Fix: "Take the API server's address out of the pool or request another one"},
	ServiceCIDRAddress:   {Sentence: "the address is in a Service CIDR of the cluster", Fix: "Take the Service CIDR out of the pool or request another address"},
	PodCIDRAddress:       {Sentence: "the address is in the Pod CIDR of a node", Fix: "Take the Pod CIDR out of the pool or request another address"},
	ClusterIPAddress:     {Sentence: "the address is the cluster IP of a Service", Fix: "Take the cluster IP out of the pool or request another address"},
	NetworkAddress:       {Sentence: "the address is the network address of a subnet of the nodes (RFC 1122 3.2.1.3)", Fix: "Exclude the address from the pool or request another one"},
	BroadcastAddress:     {Sentence: "the address is the broadcast address of a subnet of the nodes (RFC 1122 3.2.1.3)", Fix: "Exclude the address from the pool or request another one"},
	SubnetRouterAnycast:  {Sentence: "the address is the subnet-router anycast address of a subnet of the nodes, which every router on that subnet answers for (RFC 4291 2.6.1)", Fix: "Exclude the address from the pool or request another one"},
	AddressReserved:      {Sentence: "the address is reserved by an IPReservation", Fix: "Request another address or change the IPReservation"},
	InvalidRequest:       {Sentence: "the request for addresses is invalid", Fix: "Correct metallb.io/loadBalancerIPs: one address, or one IPv4 and one IPv6 address separated by a comma"},
	NoClusterIP:          {Sentence: "the Service has no cluster IP", Fix: "Use a Service that is not headless"},
	NotEnoughClusterIPs:  {Sentence: "the Service requires two address families and has one cluster IP", Fix: "Use ipFamilyPolicy PreferDualStack or SingleStack, or a dual-stack cluster"},
	PoolFrozen:           {Sentence: "the pool is invalid: Services keep their addresses and no new address is assigned", Fix: "Correct the pool; its status and the controller's ConfigurationState name the error"},
	FamilyMismatch:       {Sentence: "the addresses do not match the Service's address families", Fix: "Request one address for each of the Service's ipFamilies"},
	RequestChanged:       {Sentence: "the Service requests addresses that differ from its assigned addresses"},
	IPAllocated:          {Sentence: "addresses were assigned to the Service"},
	ClearAssignment:      {Sentence: "addresses were removed from the Service"},
	ForeignStatusWriter:  {Sentence: "another controller overwrites the addresses in the Service's status", Fix: "Let one controller serve the Service: disable the other one (K3s: --disable servicelb), or give it the Services of a loadBalancerClass"},

	Valid:                {Sentence: "the object is valid"},
	InvalidAddressRange:  {Sentence: "an address range is invalid", Fix: "Write a CIDR (192.0.2.0/24) or a range from its lower to its higher end (192.0.2.1-192.0.2.9)"},
	NoAddresses:          {Sentence: "the pool has no addresses", Fix: "Add at least one CIDR or range to spec.addresses"},
	PoolOverlap:          {Sentence: "the pool overlaps with an older one", Fix: "Take the common addresses out of one of the two pools"},
	OverlapsCluster:      {Sentence: "the pool contains addresses that the cluster itself uses; they are never assigned", Fix: "Take the ranges named in the message out of spec.addresses, or exclude them"},
	InvalidSelector:      {Sentence: "a label selector is invalid", Fix: "Correct the selector"},
	DuplicateEntry:       {Sentence: "an entry is given twice", Fix: "Remove one of the two"},
	ConfigurationError:   {Sentence: "some objects are left out because they are not valid", Fix: "Correct the objects named in the message"},
	ConfigurationWarning: {Sentence: "every object of the configuration is in use, and some are applied in part only", Fix: "See the objects named in the message"},
	ServiceCIDRsUnknown:  {Sentence: "the ServiceCIDRs of the cluster cannot be read; instead of their ranges, the cluster IPs of the Services that exist are withheld from pools", Fix: "Apply the ClusterRole of this version, which allows the controller to list and watch servicecidrs.networking.k8s.io"},
	InvalidAggregation:   {Sentence: "the aggregation length is invalid", Fix: "Use a length that is not shorter than the prefix of any range of the pool; with serviceSelectors use 32 (IPv4) or 128 (IPv6)"},
	InvalidMetric:        {Sentence: "asPathPrepend is out of its range", Fix: "Write a number from 0 to 10"},
	InvalidCommunity:     {Sentence: "a community is invalid", Fix: "Write 65000:100, large:65000:1:2, a name that one Community resource defines, or a well-known one such as no-export"},
	UnknownCommunity:     {Sentence: "no Community resource defines this name", Fix: "Define the name in a Community resource or write the value itself"},
	InvalidBGPPeer:       {Sentence: "the peer's settings are invalid or contradict each other", Fix: "Correct the BGPPeer"},
	InvalidBFDProfile:    {Sentence: "a value of the profile is out of its range", Fix: "Correct the BFDProfile"},
	UnknownBFDProfile:    {Sentence: "the BFDProfile does not exist or is not valid", Fix: "Create the BFDProfile or correct spec.bfdProfile of the BGPPeer"},
	EchoExcludesIPv6:     {Sentence: "the profile's echo mode is not used: it works with neither an IPv6 session nor one over several hops", Fix: "Name a BFDProfile without echoMode in spec.bfdProfile of the BGPPeer"},
	DuplicatePeer:        {Sentence: "an older BGPPeer has the same address or interface, port and VRF on the same nodes", Fix: "Delete one of the two, or let their nodeSelectors select different nodes"},
	UnknownPeer:          {Sentence: "the advertisement names a BGPPeer that does not exist or is not valid; its other peers are used", Fix: "Correct spec.peers of the BGPAdvertisement or create the BGPPeer"},
	UnknownPool:          {Sentence: "the advertisement names an IPAddressPool that does not exist, or its ipAddressPoolSelectors match none; the other pools that it selects are announced", Fix: "Correct spec.ipAddressPools or spec.ipAddressPoolSelectors of the advertisement, or create or label the IPAddressPool"},
	NoNodeSelected:       {Sentence: "the nodeSelectors of the advertisement match no node, so it announces nothing", Fix: "Correct spec.nodeSelectors of the advertisement or label the nodes"},
	LocalPrefConflict:    {Sentence: "an older BGPAdvertisement announces the same prefixes with another local preference", Fix: "Give both the same localPref, or let them differ in aggregation length, peers or nodes"},
	ReservationActive:    {Sentence: "the addresses are reserved"},
	ReservationExpired:   {Sentence: "the reservation has expired and reserves no address", Fix: "Delete it, or change spec.expiresAt or spec.keepFor"},
	ReservationOverlap:   {Sentence: "an older IPReservation reserves some of the addresses", Fix: "Remove the addresses from one of them"},
	NothingToReserve:     {Sentence: "the Service has no address to reserve yet"},
	Reconciled:           {Sentence: "every object of the configuration is in use"},

	Announced:                       {Sentence: "the address is announced"},
	UnknownAnnouncer:                {Sentence: "there is no announcer of this name", Fix: "Use one of the known names in spec.announcers of the MetalLB resource"},
	AnnouncerNotAvailable:           {Sentence: "this announcer is not available in this build", Fix: "Use another announcer"},
	AnnouncerNotRunning:             {Sentence: "the announcer is not running on this node", Fix: "See the speaker's log and the problem beside this one"},
	RawSocketDenied:                 {Sentence: "the speaker may not open raw sockets", Fix: "Give the speaker's container the capability NET_RAW and its namespace the pod security level privileged"},
	InterfaceMissing:                {Sentence: "none of the requested interfaces exists on this node", Fix: "Correct the interface in the L2Advertisement or BGPPeer, or restrict it to nodes that have it"},
	NoUsableInterface:               {Sentence: "this node has no interface to announce on", Fix: "Check that an Ethernet interface is up and not excluded"},
	NoCarrier:                       {Sentence: "the interface has no carrier", Fix: "Check the cable and the switch port"},
	LocalAddress:                    {Sentence: "the address is configured on an interface of this node, and the kernel answers for it", Fix: "Remove the address from the interface or from the pool"},
	FamilyNotServed:                 {Sentence: "the announcer does not serve this address family", Fix: "Use another announcer for addresses of this family"},
	NextHopAddress:                  {Sentence: "the address is the next hop of a node's route, so it belongs to a router", Fix: "Take the address out of the pool"},
	AddressConflict:                 {Sentence: "another host on the network uses the address", Fix: "Find the host by the hardware address in the message and give it another address, or take the address out of the pool"},
	NoLinkLocalAddress:              {Sentence: "the interface has no IPv6 link-local address, which announcements of IPv6 addresses need", Fix: "Enable IPv6 on the interface"},
	NotOwner:                        {Sentence: "another node announces the address"},
	AddressDuplicate:                {Sentence: "an older Service has the same address and cannot share it", Fix: "Wait until the controller assigns another address to the Service; if the problem persists, check that the controller runs"},
	NoMatchingAdvertisement:         {Sentence: "no advertisement selects the pool, this Service and this node", Fix: "Create an L2Advertisement or a BGPAdvertisement for the pool"},
	SharingExcludesServiceSelectors: {Sentence: "a Service that shares its address cannot be announced through an L2Advertisement with serviceSelectors", Fix: "Remove serviceSelectors from the L2Advertisement or metallb.io/allow-shared-ip from the Service"},
	NoEndpoints:                     {Sentence: "the Service has no endpoint that serves", Fix: "Check that the Service's pods are ready"},
	NoLocalEndpoints:                {Sentence: "the Service has externalTrafficPolicy Local and no endpoint that serves on an eligible node", Fix: "Check that the Service's pods are ready and run on nodes that the advertisement selects"},
	NoSpeakerOnNode:                 {Sentence: "the nodes that could announce the Service have no live speaker", Fix: "Let spec.nodeSelector and spec.speakerTolerations of the MetalLB resource include the node, check why its speaker pod is not ready, or move the Service's pods or the advertisement to a node with a speaker"},
	NodeNetworkUnavailable:          {Sentence: "the node's network is not available", Fix: "Check the network plugin of the node"},
	NodeExcluded:                    {Sentence: "the node is labelled node.kubernetes.io/exclude-from-external-load-balancers", Fix: "Remove the label from the node"},
	NodeRemoved:                     {Sentence: "the node is being removed from the cluster"},
	NodeShuttingDown:                {Sentence: "the node is shutting down"},
	SpeakersRemoved:                 {Sentence: "the speakers are being removed"},
	NodeNotSelected:                 {Sentence: "the speakers' DaemonSet no longer selects the node"},
	AnnouncerRemoved:                {Sentence: "the announcer was removed from spec.announcers of the MetalLB resource"},

	GossipKeyInvalid: {Sentence: "the shared key of the speakers is missing or invalid", Fix: "Delete the Secret memberlist, the operator creates a new one at once"},
	GossipKeyDiffers: {Sentence: "another speaker encrypts with a key that this speaker does not have", Fix: "Wait five minutes after a change of the Secret memberlist; if the problem persists, delete the speaker pods of the nodes named here, so that they read the Secret again"},
	GossipPortTaken:  {Sentence: "the port for traffic between speakers is in use", Fix: "Stop the other process on the node or change the speakers' port for all nodes"},
	GossipUDPBlocked: {Sentence: "a speaker answered several UDP probes in a row over TCP only", Fix: "Allow UDP between the nodes on the port for traffic between speakers; if it is allowed, the link loses packets or one of the two nodes is overloaded"},
	GossipDelayed:    {Sentence: "speakers answer each other too late", Fix: "Look for processor load or lost packets on the two nodes, and give the speakers a higher CPU request in the MetalLB resource if the load stays; UDP itself is allowed, since other probes were answered"},
	MemberNameTaken:  {Sentence: "two speakers use the same node name", Fix: "Check that every node has one speaker and a unique name"},

	SessionEstablished:        {Sentence: "the session is established"},
	SessionConnecting:         {Sentence: "the session is being established"},
	SessionFlapping:           {Sentence: "the session was established and lost repeatedly in a short time; the wait before the next attempt grows", Fix: "See the last error in the BGPSessionStatus and the router's log"},
	SessionEnded:              {Sentence: "the connection to the peer was lost", Fix: "See the router's log; the speaker connects again"},
	NotReported:               {Sentence: "no speaker has reported a session with the peer yet", Fix: "Check that the speakers of the selected nodes run and that spec.announcers of the MetalLB resource contains bgp"},
	NoPeers:                   {Sentence: "no BGPPeer accepts a route to the address from this node", Fix: "Create a BGPPeer whose nodeSelectors match the node, or set dualStackAddressFamily in one of the other family"},
	NoNodes:                   {Sentence: "the BGPPeer selects no node", Fix: "Correct spec.nodeSelectors of the BGPPeer"},
	PeerUnreachable:           {Sentence: "the peer does not answer", Fix: "Check spec.peerAddress, the route to it and that no firewall drops TCP to its BGP port; a router over several hops needs ebgpMultiHop"},
	ConnectionRefused:         {Sentence: "the peer refuses the connection", Fix: "Check that BGP runs on the router, on spec.peerPort, and that it has this node as a neighbour"},
	PeerASNMismatch:           {Sentence: "the AS numbers of the peer and of this node do not match the configuration", Fix: "Correct spec.peerASN or spec.myASN of the BGPPeer, or the neighbour on the router"},
	PasswordMismatchSuspected: {Sentence: "the peer does not answer; a password is set, and a wrong password has the same effect", Fix: "Compare the password with the router's; if they are equal, check the route to the peer"},
	PasswordSecretMissing:     {Sentence: "the Secret with the peer's password does not exist or has no usable password", Fix: "Create a Secret of type kubernetes.io/basic-auth with the key password in the namespace of the MetalLB resource"},
	PasswordEmpty:             {Sentence: "the password in the peer's Secret is empty, so the session runs without one", Fix: "Put the password into the key password of the Secret, or remove spec.passwordSecret from the BGPPeer"},
	PasswordNotRefreshed:      {Sentence: "the Secret with the peer's password cannot be read any more, so the session keeps the password that was read last", Fix: "Grant the verb get on the Secret to the Role metallb-speaker"},
	HoldTimerExpired:          {Sentence: "no message from the peer within the hold time", Fix: "Check the link and the load of the router"},
	PeerClosedSession:         {Sentence: "the peer closed the session with a NOTIFICATION", Fix: "See the message and the router's log"},
	InvalidPeerMessage:        {Sentence: "the peer sent an invalid message", Fix: "See the router's log and update its software"},
	RouterIDConflict:          {Sentence: "the peer uses the same router ID as this node", Fix: "Set another spec.routerID in the BGPPeer, one for each node"},
	EngineOutOfMemory:         {Sentence: "the BGP process of the session ran out of memory or was killed", Fix: "Raise the memory limit of the container speaker in spec.speakerConfig.resources of the MetalLB resource, or announce fewer routes from one node"},
	EngineCrashed:             {Sentence: "the BGP process of the session crashes repeatedly; the wait before the next start grows", Fix: "See the speaker's log; often the peer sends malformed messages"},
	NoSourceAddress:           {Sentence: "spec.sourceAddress is not an address of this node", Fix: "Correct spec.sourceAddress of the BGPPeer, or restrict it to nodes that have the address"},
	VRFMissing:                {Sentence: "the VRF device does not exist on this node or the kernel does not let the speaker use it", Fix: "Correct spec.vrf of the BGPPeer, or restrict it to nodes that have the device; the kernel must be Linux 5.7 or later"},
	NoRouterAdvertisement:     {Sentence: "no router advertisement was received on the interface of the unnumbered session", Fix: "Let the router send IPv6 router advertisements on the link and check that exactly one router is on the link"},
	NoNextHop:                 {Sentence: "the node has no address of the family to use as next hop", Fix: "Give the node an address of that family on the interface towards the peer"},
	FamilyNotNegotiated:       {Sentence: "the peer did not negotiate this address family", Fix: "Activate the family for the neighbour on the router, or remove dualStackAddressFamily from the BGPPeer if the router has another session for it"},
	TooManyRoutes:             {Sentence: "the peer sends many routes; the speaker drops them and the session stays established", Fix: "Filter the routes that the router sends to the nodes: send none, or only a default route"},
	TooManyCommunities:        {Sentence: "the communities of the prefix exceed the size of a BGP message", Fix: "Name at most 63 communities and some 300 large communities for one prefix in the BGPAdvertisements"},
	NodeDraining:              {Sentence: "the node is being drained and announces nothing over BGP", Fix: "Uncordon the node or remove the drain label to announce from it again"},
	BFDDown:                   {Sentence: "BFD reports the path to the peer as down", Fix: "Check the link and that BFD runs on the router for this node"},
	BFDNotAvailable:           {Sentence: "BFD cannot run on this node, so the session runs without it", Fix: "See the message; often another process on the node uses UDP port 3784 or 4784"},
	BFDEchoNotUsed:            {Sentence: "echo packets are configured and not used", Fix: "See the message; the router must accept echo packets (RFC 5880 6.4)"},

	AsExpected:            {Sentence: "the installation matches the MetalLB resource"},
	RollingOut:            {Sentence: "a workload is rolling out"},
	OperandMissing:        {Sentence: "a workload does not exist yet"},
	OperandNotReady:       {Sentence: "a workload is not ready", Fix: "See the events of its pods"},
	ApplyFailed:           {Sentence: "a workload could not be applied", Fix: "See the message; the operator retries"},
	PodsRefused:           {Sentence: "Kubernetes refuses to create the pods of a workload", Fix: "See the events of the workload; often the namespace lacks the label pod-security.kubernetes.io/enforce: privileged or a quota is used up"},
	GossipKeyMissing:      {Sentence: "the speakers wait for the Secret memberlist; the operator could not create or read it", Fix: "See the error in the message; the Role metallb-operator grants the operator access to the Secret"},
	SelectorDiffers:       {Sentence: "a workload of this name was made by other manifests, and Kubernetes does not change its selector", Fix: "Run the command in the message; the operator creates its own workload within 30 seconds, and the speakers' key is kept"},
	ForeignFields:         {Sentence: "another field manager has set fields in a workload of the suite; the operator does not change them", Fix: "Remove the fields from the workload with kubectl edit, or from the program that sets them; use the fields of the MetalLB resource instead"},
	SpeakerNodeNotReady:   {Sentence: "nodes that should run a speaker are not ready", Fix: "Repair the nodes in the message or delete them from the cluster; speakers of other nodes are updated meanwhile"},
	WrongName:             {Sentence: "only the MetalLB resource named metallb is used", Fix: "Create it with the name metallb and delete this one"},
	WrongNamespace:        {Sentence: "only the MetalLB resource in the operator's namespace is used", Fix: "Create it in the operator's namespace and delete this one"},
	StrayObject:           {Sentence: "the object is outside the namespace of the MetalLB resource, where nothing uses it", Fix: "Create it in the namespace of the MetalLB resource and delete it where it is"},
	NativeBackendServes:   {Sentence: "spec.bgpBackend is accepted and the native backend is used"},
	ComponentDisabled:     {Sentence: "the component is disabled in the MetalLB resource"},
	NamespaceTerminating:  {Sentence: "the namespace is being deleted"},
	EndpointSourceMissing: {Sentence: "the source Service has no EndpointSlices", Fix: "Check the name and namespace of the source"},
	EndpointFamilyMissing: {Sentence: "the source Service has no endpoints of an address family of the target", Fix: "Remove the family from the target's spec.ipFamilies, or add endpoints of it to the source"},
	TargetHasSelector:     {Sentence: "the target Service has a selector, so Kubernetes itself manages its endpoints", Fix: "Remove spec.selector from the target Service"},
	TargetIsExternalName:  {Sentence: "the target Service is of type ExternalName and has no endpoints", Fix: "Use a Service of another type as target"},
	EndpointsCopied:       {Sentence: "the endpoints of the source are copied into the target"},
	SourceNotAllowed:      {Sentence: "the target Service may not copy the endpoints of this source", Fix: "Use a source in the namespace of the target, or allow the source with --allow-source of the endpoint-copier"},
	SliceNameTaken:        {Sentence: "an EndpointSlice of another manager has the name that the copier needs", Fix: "Delete that EndpointSlice"},

	NoNodesForSpeakers:      {Sentence: "no node is eligible for a speaker, so nothing is announced", Fix: "Repair the nodes that the message names, if any; or correct spec.nodeSelector, spec.speakerTolerations or spec.speakerConfig.affinity of the MetalLB resource, or label the nodes"},
	AllocationOnly:          {Sentence: "spec.announcers of the MetalLB resource is empty: addresses are allocated and nothing is announced"},
	InvalidInterfacePattern: {Sentence: "a pattern of excluded interfaces is invalid and is left out", Fix: "Write a regular expression (RE2) that matches some interface names, such as ^veth.*"},
	AllInterfacesExcluded:   {Sentence: "a pattern of excluded interfaces matches every interface, so nothing is announced at layer 2", Fix: "Write a regular expression (RE2) that matches some interface names, such as ^veth.*; to announce nothing at layer 2, leave l2 out of spec.announcers"},
	InvalidSetting:          {Sentence: "a setting of the MetalLB resource is invalid", Fix: "Correct the field named in the message"},
}
