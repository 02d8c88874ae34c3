// SPDX-License-Identifier: Apache-2.0
// What Kubernetes makes of manifests, and the CRI calls of its kubelet: manifests are read by Kubernetes' own types, where
// an unknown field is an error.
//
//	kubelet check FILE…                          one line for each object: kind, version, name
//	kubelet start SOCKET FILE,… NAME STORAGE LOGS  until it is ready: pod 0 of StatefulSet NAME; a claim is the folder STORAGE/CLAIM, or, with
//	                                             volumeMode Block, what that link names
//	kubelet stop SOCKET POD SECONDS              its containers, then it
package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	node "k8s.io/api/node/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"sigs.k8s.io/yaml"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Println("error:", strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
	return value
}

func check(err error) { must(0, err) }

// --- manifests ---

type named interface{ GetName() string }

var kinds = map[string]func() any{
	"apps/v1 StatefulSet":         func() any { return &apps.StatefulSet{} },
	"apps/v1 Deployment":          func() any { return &apps.Deployment{} },
	"v1 Service":                  func() any { return &core.Service{} },
	"v1 Pod":                      func() any { return &core.Pod{} },
	"v1 PersistentVolumeClaim":    func() any { return &core.PersistentVolumeClaim{} },
	"node.k8s.io/v1 RuntimeClass": func() any { return &node.RuntimeClass{} },
}

func read(files []string) map[string]any {
	all := map[string]any{}
	for _, file := range files {
		for _, text := range bytes.Split(must(os.ReadFile(file)), []byte("\n---\n")) {
			var kind meta.TypeMeta
			check(yaml.Unmarshal(text, &kind))
			make := kinds[kind.APIVersion+" "+kind.Kind]
			if make == nil {
				check(fmt.Errorf("%s: unknown kind %s of %s", file, kind.Kind, kind.APIVersion))
			}
			object := make()
			check(yaml.UnmarshalStrict(text, object))
			all[kind.Kind+"/"+object.(named).GetName()] = object
		}
	}
	return all
}

// --- the kubelet ---

func limits(r core.ResourceRequirements) *cri.LinuxContainerResources {
	cpu := r.Limits.Cpu().MilliValue()
	return &cri.LinuxContainerResources{MemoryLimitInBytes: r.Limits.Memory().Value(), CpuPeriod: 100000, CpuQuota: cpu * 100}
}

func start(rt cri.RuntimeServiceClient, ctx context.Context, all map[string]any, name, storage, logs string) {
	set := all["StatefulSet/"+name].(*apps.StatefulSet)
	spec := set.Spec.Template.Spec
	class := all["RuntimeClass/"+*spec.RuntimeClassName].(*node.RuntimeClass)
	pod := name + "-0"
	labels := map[string]string{"io.kubernetes.pod.name": pod, "io.kubernetes.pod.namespace": "default", "io.kubernetes.pod.uid": "uid-" + pod}
	files := filepath.Join(logs, "kubelet-"+pod)
	check(os.MkdirAll(files, 0755))
	check(os.WriteFile(filepath.Join(files, "hosts"), []byte("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"), 0644))
	sandbox := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: pod, Namespace: "default", Uid: "uid-" + pod},
		Hostname:     pod,
		LogDirectory: logs,
		Labels:       labels,
		Annotations:  set.Spec.Template.Annotations,
		Linux:        &cri.LinuxPodSandboxConfig{CgroupParent: "/kubepods-test"},
	}
	id := must(rt.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: sandbox, RuntimeHandler: class.Handler})).PodSandboxId
	fmt.Println("pod:", id)
	status := must(rt.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: id})).Status
	fmt.Println("address:", status.Network.Ip)
	for _, c := range spec.Containers {
		log := filepath.Join(files, c.Name+"-termination")
		check(os.WriteFile(log, nil, 0666))
		config := &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: c.Name}, Image: &cri.ImageSpec{Image: c.Image},
			Command: c.Command, Args: c.Args, WorkingDir: c.WorkingDir, Labels: labels, LogPath: c.Name + ".log",
			Mounts: []*cri.Mount{{ContainerPath: "/etc/hosts", HostPath: filepath.Join(files, "hosts")},
				{ContainerPath: "/dev/termination-log", HostPath: log}},
			Linux: &cri.LinuxContainerConfig{Resources: limits(c.Resources), SecurityContext: &cri.LinuxContainerSecurityContext{}},
		}
		for _, e := range append(c.Env, core.EnvVar{Name: "KUBERNETES_SERVICE_HOST", Value: "10.0.0.1"}, core.EnvVar{Name: "KUBERNETES_SERVICE_PORT", Value: "443"}, core.EnvVar{Name: "KUBERNETES_PORT_443_TCP_ADDR", Value: "10.0.0.1"}) {
			config.Envs = append(config.Envs, &cri.KeyValue{Key: e.Name, Value: e.Value})
		}
		for _, m := range c.VolumeMounts {
			config.Mounts = append(config.Mounts, &cri.Mount{ContainerPath: m.MountPath, HostPath: filepath.Join(storage, m.Name), Readonly: m.ReadOnly})
		}
		for _, d := range c.VolumeDevices {
			device := must(filepath.EvalSymlinks(filepath.Join(storage, d.Name)))
			config.Devices = append(config.Devices, &cri.Device{ContainerPath: d.DevicePath, HostPath: device, Permissions: "mrw"})
		}
		keep(rt, ctx, id, sandbox, config, c.ReadinessProbe, status.Network.Ip, c.Ports)
	}
}

// As restartPolicy Always asks: until it is ready, a container that ended is started again.
func keep(rt cri.RuntimeServiceClient, ctx context.Context, pod string, sandbox *cri.PodSandboxConfig, config *cri.ContainerConfig, probe *core.Probe, address string, ports []core.ContainerPort) {
	port := probe.TCPSocket.Port.IntVal
	for _, p := range ports {
		if p.Name == probe.TCPSocket.Port.StrVal {
			port = p.ContainerPort
		}
	}
	for config.Metadata.Attempt < 10 {
		id := must(rt.CreateContainer(ctx, &cri.CreateContainerRequest{PodSandboxId: pod, SandboxConfig: sandbox, Config: config})).ContainerId
		must(rt.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: id}))
		for {
			status := must(rt.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id})).Status
			if status.State == cri.ContainerState_CONTAINER_EXITED {
				fmt.Println("exited:", config.Metadata.Name, status.ExitCode)
				break
			}
			if c, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", address, port), time.Second); err == nil {
				c.Close()
				fmt.Println("ready:", config.Metadata.Name, config.Metadata.Attempt)
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
		remove(rt, ctx, id)
		config.Metadata.Attempt++
		time.Sleep(5 * time.Second)
	}
	check(fmt.Errorf("%s does not become ready", config.Metadata.Name))
}

// As a kubelet does, which comes back: containerd refuses while it has not yet heard of the end of a container that has
// just ended by itself.
func remove(rt cri.RuntimeServiceClient, ctx context.Context, id string) {
	var err error
	for i := 0; i < 20; i++ {
		if _, err = rt.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: id}); err == nil {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	check(err)
}

func stop(rt cri.RuntimeServiceClient, ctx context.Context, pod string, seconds int64) {
	list := must(rt.ListContainers(ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{PodSandboxId: pod}})).Containers
	for _, c := range list {
		must(rt.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: c.Id, Timeout: seconds}))
		status := must(rt.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: c.Id})).Status
		fmt.Println("exit:", c.Metadata.Name, status.ExitCode)
		remove(rt, ctx, c.Id)
	}
	must(rt.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: pod}))
	must(rt.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: pod}))
}

func main() {
	limit, err := strconv.Atoi(os.Getenv("KUBELET_SECONDS"))
	if err != nil {
		limit = 150
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(limit)*time.Second)
	defer cancel()
	if os.Args[1] == "check" {
		for name, object := range read(os.Args[2:]) {
			fmt.Printf("%s %T\n", name, object)
		}
		return
	}
	c := must(grpc.DialContext(ctx, "unix://"+os.Args[2], grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithBlock()))
	rt := cri.NewRuntimeServiceClient(c)
	if os.Args[1] == "start" {
		start(rt, ctx, read(strings.Split(os.Args[3], ",")), os.Args[4], os.Args[5], os.Args[6])
	} else {
		seconds := must(strconv.Atoi(os.Args[4]))
		stop(rt, ctx, os.Args[3], int64(seconds))
	}
}
