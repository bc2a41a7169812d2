// SPDX-License-Identifier: Apache-2.0

package main

// The manifests of the guide, with the lab's addresses.
const (
	poolManifest = `---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: bgp-pool
  namespace: metallb-system
spec:
  addresses:
    - %s/32
  autoAssign: true
  avoidBuggyIPs: false
  serviceAllocation:
    namespaces: [%s]
    priority: 100
    serviceSelectors:
      - matchExpressions:
          - {key: serviceType, operator: In, values: [httpd]}
`
	peerManifest = `---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata:
  name: mybfdtest
  namespace: metallb-system
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata:
  name: mypeertest
  namespace: metallb-system
spec:
  peerAddress: %s
  peerASN: 64999
  myASN: 1001
  routerID: 4.4.4.4
  bfdProfile: mybfdtest
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata:
  name: bgpadvertisement-test
  namespace: metallb-system
spec:
  ipAddressPools:
    - bgp-pool
`
	serviceManifest = `---
apiVersion: v1
kind: Service
metadata:
  name: http-service
  namespace: %s
  labels:
    serviceType: httpd
spec:
  type: LoadBalancer
  selector:
    app: %s
  ports:
    - {name: http, port: %d, protocol: TCP, targetPort: http}
`
)
