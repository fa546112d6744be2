#!/usr/bin/env python3
"""Turns recorded facts of a Kubernetes release into the compact files of static/schema/.

usage: convert.py REFERENCE_FOLDER [OUTPUT_FOLDER]

REFERENCE_FOLDER holds schema/*.json (OpenAPI v3 definitions, descriptions removed), discovery/*.json (APIResourceLists and
the group list), tables.json (columns of server-side Tables) and validation.jsonl (requests and error answers, from which the
Go type names that OpenAPI lacks are read). OUTPUT_FOLDER defaults to static/schema beside this tool. Only the standard
library is needed. The output is deterministic and is checked in; src/apimachinery/schema reads it.

types.txt, one definition a line:

    @ALIAS PACKAGE [GROUP/VERSION]        the definitions that follow are of this package
    NAME[*][%] FIELD FIELD ...            `*`: a kind of the package's group version; `%`: an atomic map

    FIELD  = NAME:TYPE[/FLAG]...
    TYPE   = b i l f s B t u q o x        bool, int32, int64, double, string, bytes (base64), Time, MicroTime, Quantity,
                                          IntOrString, anything
           | [TYPE | {TYPE                list, map with string keys
           | .NAME | ALIAS.NAME           a definition of this package, of another one
           | TYPE(A|B|..)                 a string with an enum; `~` is a space
           | TYPE<v1.Protocol>            the Go name of a named type
    FLAG   = !                            no omitempty: always written, with Go's zero value if missing
           | v                            a struct by value: always written
           | N                            with `!`: a pointer, list or map, written as null if missing
           | z                            a scalar by value with omitempty: not written when zero
           | =VALUE                       default
           | Ls | Lm,KEY,KEY..            list type set, map (atomic otherwise)
           | p[KEY] | r                   strategic merge by KEY (none: a list of primitives); retainKeys
           | A | G                        atomic map; granular though the type is atomic
           | E.NAME                       the Go struct embedded here that holds the field

resources.txt:

    @GROUP/VERSION                        in the order of discovery
    NAME KIND SINGULAR n|c VERBS SHORT,.. CATEGORY,.. HASH     `-` for nothing
    /SUBRESOURCE KIND VERBS [GROUP/VERSION]

    VERBS: * all eight, else letters: create delete Deletecollection get list patch update watch

tables.txt:

    GROUP/VERSION/RESOURCE COLUMN;COLUMN..        COLUMN = NAME,TYPE[,FORMAT[,PRIORITY]]
"""

import glob
import json
import os
import re
import sys

SCALARS = {("boolean", None): "b", ("integer", "int32"): "i", ("integer", "int64"): "l", ("number", "double"): "f",
           ("string", None): "s", ("string", "byte"): "B", ("integer", None): "l", ("object", None): "x"}
SPECIAL = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "t",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "u",
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "q",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "o",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "x",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "x",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch": "x",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "x",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "x",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "x",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "x",
}
# OpenAPI does not say which optional scalars are pointers in Go (a zero is kept) and which are values (a zero is dropped).
# Optional numbers and booleans that are values; all others are pointers.
BY_VALUE = set("""
minReadySeconds numberAvailable numberUnavailable updatedNumberScheduled paused availableReplicas readyReplicas
unavailableReplicas updatedReplicas fullyLabeledReplicas currentReplicas authenticated denied active failed succeeded readOnly
stdin stdinOnce tty sizeBytes hostPort signal chapAuthDiscovery chapAuthSession unschedulable hostIPC hostNetwork hostPID
failureThreshold initialDelaySeconds periodSeconds successThreshold timeoutSeconds sslEnabled nodePort healthCheckNodePort
publishNotReadyAddresses deprecatedCount clusterScope number globalDefault preserveUnknownFields deprecated exclusiveMaximum
exclusiveMinimum nullable uniqueItems x-kubernetes-embedded-resource x-kubernetes-int-or-string generation code
retryAfterSeconds insecureSkipTLSVerify observedGeneration partition count DeploymentStatus.replicas
CustomResourceColumnDefinition.priority
""".split())
BY_POINTER = set("""
CSIVolumeSource.readOnly RollingUpdateStatefulSetStrategy.partition MutatingWebhook.timeoutSeconds
ValidatingWebhook.timeoutSeconds ClientIPConfig.timeoutSeconds HorizontalPodAutoscalerStatus.observedGeneration
VolumeNodeResources.count
""".split())
# Optional strings that are pointers; all others are values.
STRING_POINTERS = set("""
storageClassName volumeMode volumeAttributesClassName ingressClassName runtimeClassName preemptionPolicy procMount
internalTrafficPolicy ipFamilyPolicy loadBalancerClass trafficDistribution appProtocol completionMode podReplacementPolicy
managedBy timeZone hostnameOverride fsGroupChangePolicy seLinuxChangePolicy supplementalGroupsPolicy localhostProfile
gmsaCredentialSpec gmsaCredentialSpecName runAsUserName mountPropagation recursiveReadOnly reclaimPolicy volumeBindingMode
fsGroupPolicy stopSignal currentVolumeAttributesClassName failurePolicy matchPolicy sideEffects reinvocationPolicy url
nodeAffinityPolicy nodeTaintsPolicy resourceClaimName resourceClaimTemplateName unhealthyPodEvictionPolicy pathType
selectPolicy propagationPolicy holderIdentity preferredHolder Endpoint.hostname Endpoint.nodeName Endpoint.zone
EndpointPort.name discovery.EndpointPort.protocol CSIVolumeSource.fsType AzureDiskVolumeSource.cachingMode
AzureDiskVolumeSource.fsType AzureDiskVolumeSource.kind PodDNSConfigOption.value NetworkPolicyPort.protocol GRPCAction.service
TypedLocalObjectReference.apiGroup TypedObjectReference.apiGroup TypedObjectReference.namespace
IngressClassParametersReference.apiGroup IngressClassParametersReference.namespace IngressClassParametersReference.scope
initiatorName secretNamespace Preconditions.uid Preconditions.resourceVersion ClusterTrustBundleProjection.name
ClusterTrustBundleProjection.signerName DeviceAttribute.string DeviceAttribute.version ResourceSliceSpec.nodeName
HostPathVolumeSource.type Container.restartPolicy EphemeralContainer.restartPolicy PodFailurePolicyOnExitCodes.containerName ServiceReference.path
Rule.scope RuleWithOperations.scope NamedRuleWithOperations.scope EndpointAddress.nodeName persistentVolumeName
x-kubernetes-list-type x-kubernetes-map-type ValidationRule.reason SuccessPolicyRule.succeededIndexes
""".split())
# Times by value without a default in OpenAPI: written as null.
TIMES_BY_VALUE = set("""
core.Event.eventTime core.Event.firstTimestamp core.Event.lastTimestamp events.Event.deprecatedFirstTimestamp
events.Event.deprecatedLastTimestamp core.EventSeries.lastObservedTime PodCondition.lastProbeTime
ContainerStateRunning.startedAt ContainerStateTerminated.startedAt ContainerStateTerminated.finishedAt
""".split())
# "Required" in OpenAPI, yet with omitempty in Go.
OMITTED_THOUGH_REQUIRED = {"IPAddressSpec.parentRef", "ValidatingAdmissionPolicyBindingSpec.validationActions"}
# The other way round.
WRITTEN_THOUGH_OPTIONAL = set("""
core.Event.reportingComponent core.Event.reportingInstance apps.StatefulSetStatus.availableReplicas
autoscaling.HorizontalPodAutoscalerStatus.currentMetrics rbac.ClusterRole.rules rbac.Role.rules
apiextensions.CustomResourceDefinitionStatus.conditions authentication.TokenRequestSpec.boundObjectRef
discovery.EndpointSlice.ports core.TypedLocalObjectReference.apiGroup core.TypedObjectReference.apiGroup
""".split())
KEY_REFS = "ConfigMapEnvSource SecretEnvSource ConfigMapKeySelector SecretKeySelector ConfigMapProjection SecretProjection ConfigMapVolumeSource".split()
RULE_FIELDS = "apiGroups apiVersions resources scope".split()


def embedded(struct, field, defs):
    """The Go struct embedded in `struct` that holds `field`, as Go's decoding errors name it."""
    if struct == "Volume" and field != "name":
        return "VolumeSource"
    if struct == "PersistentVolumeSpec" and field in defs.get("pv_sources", ()):
        return "PersistentVolumeSource"
    if struct == "Probe" and field in ("exec", "httpGet", "tcpSocket", "grpc"):
        return "ProbeHandler"
    if struct in KEY_REFS and field == "name":
        return "LocalObjectReference"
    if struct == "IngressRule" and field == "http":
        return "IngressRuleValue"
    if struct == "NamedRuleWithOperations" and field != "resourceNames":
        return "RuleWithOperations" + (".Rule" if field in RULE_FIELDS else "")
    if struct == "RuleWithOperations" and field in RULE_FIELDS:
        return "Rule"
    if struct == "EphemeralContainer" and field != "targetContainerName":
        return "EphemeralContainerCommon"
    return None


class Types:
    def __init__(self, folder):
        self.defs = {}
        for path in sorted(glob.glob(os.path.join(folder, "schema", "*_v*.json"))):
            self.defs.update(json.load(open(path))["definitions"])
        self.packages = sorted({n.rsplit(".", 1)[0] for n in self.defs})
        self.alias = {p: self.short(i) for i, p in enumerate(self.packages)}
        self.go_names = {}
        pv = self.defs["io.k8s.api.core.v1.PersistentVolumeSpec"]["properties"]
        own = set("accessModes capacity claimRef mountOptions nodeAffinity persistentVolumeReclaimPolicy storageClassName volumeAttributesClassName volumeMode".split())
        self.hints = {"pv_sources": set(pv) - own}

    @staticmethod
    def short(i):
        return "abcdefghijklmnopqrstuvwxyz"[i] if i < 26 else "z" + str(i)

    def ref(self, f):
        if "$ref" in f:
            return f["$ref"].rsplit("/", 1)[1]
        if "allOf" in f:
            return f["allOf"][0]["$ref"].rsplit("/", 1)[1]
        return None

    def type_text(self, f, package, go_name=None):
        name = self.ref(f)
        if name:
            if name in SPECIAL:
                return SPECIAL[name]
            p, n = name.rsplit(".", 1)
            return "." + n if p == package else self.alias[p] + "." + n
        go = "<%s>" % go_name if go_name else ""
        if f.get("type") == "array":
            return "[" + self.type_text(f["items"], package, go_name)
        if "additionalProperties" in f:
            inner = self.type_text(f["additionalProperties"], package)
            return "{" + inner + go
        text = SCALARS[(f.get("type"), f.get("format"))] if f.get("type") else "x"
        if "enum" in f:
            text += "(" + "|".join(f["enum"]).replace(" ", "~") + ")"
        return text + go

    def field_text(self, full, name, f, required):
        package, struct = full.rsplit(".", 1)
        text = self.type_text(f, package, self.go_names.get((full, name)))
        flags = []
        ref = self.ref(f)
        dotted = struct + "." + name
        grouped = package.rsplit(".", 2)[1] + "." + dotted
        required = (name in required or grouped in WRITTEN_THOUGH_OPTIONAL) and dotted not in OMITTED_THOUGH_REQUIRED
        if required:
            flags.append("!")
        if ref and f.get("default") == {} and name != "creationTimestamp":
            flags.append("v")
        elif {dotted, grouped} & TIMES_BY_VALUE or SPECIAL.get(ref) == "t" and "Condition" in struct and name.startswith("last"):
            flags.append("v")
        elif required:
            scalar = f.get("type") not in ("array", "object", None) and name != "apiGroup"
            flags += [] if "default" in f or scalar and grouped in WRITTEN_THOUGH_OPTIONAL else ["N"]
        elif ref == "io.k8s.apimachinery.pkg.api.resource.Quantity" and name == "divisor":
            flags.append("v")
        elif self.by_value(package, struct, name, f):
            flags.append("z")
        default = f.get("default")
        if default not in (None, "", 0, {}, [], False):
            flags.append("=" + str(default))
        kind = f.get("x-kubernetes-list-type")
        if kind == "set":
            flags.append("Ls")
        elif kind == "map":
            flags.append(",".join(["Lm"] + f["x-kubernetes-list-map-keys"]))
        for strategy in f.get("x-kubernetes-patch-strategy", "").split(","):
            if strategy == "merge":
                flags.append("p" + f.get("x-kubernetes-patch-merge-key", ""))
            elif strategy == "retainKeys":
                flags.append("r")
        flags += {"atomic": ["A"], "granular": ["G"]}.get(f.get("x-kubernetes-map-type"), [])
        held = embedded(struct, name, self.hints)
        if held:
            flags.append("E." + held)
        return "".join([name, ":", text] + ["/" + x for x in flags])

    @staticmethod
    def by_value(package, struct, name, f):
        """Whether an optional scalar is a value in Go."""
        if f.get("type") in ("boolean", "integer", "number"):
            dotted = struct + "." + name
            return dotted not in BY_POINTER and (name in BY_VALUE or dotted in BY_VALUE)
        if f.get("type") == "string" and f.get("format") is None:
            group = package.rsplit(".", 2)[1]
            names = {name, struct + "." + name, ".".join([group, struct, name])}
            return not names & STRING_POINTERS
        return False

    def learn_go_names(self, path):
        """Reads the Go names of named scalars and maps from decoding errors."""
        kinds = {}
        for full, d in self.defs.items():
            for g in d.get("x-kubernetes-group-version-kind", []):
                kinds[(g["group"], g["version"], g["kind"])] = full
        pattern = re.compile(r"Go struct field \w+\.(\S+) of type (?:\[\])?(\w+\.\w+)$")
        for line in open(path):
            record = json.loads(line)
            message = (record.get("status") or {}).get("message", "")
            found, body = pattern.search(message), record["request"].get("body")
            if not found or not isinstance(body, dict):
                continue
            group, _, version = str(body.get("apiVersion")).rpartition("/")
            full = kinds.get((group, version, body.get("kind")))
            names = [s for s in found.group(1).split(".") if not s[0].isupper()]
            self.learn(full, names, found.group(2))

    def learn(self, full, names, go):
        owner = None
        for i, name in enumerate(names):
            f = self.defs.get(full, {}).get("properties", {}).get(name) if full else None
            if f is None:
                return
            owner = (full, name)
            while f.get("type") == "array":
                f = f["items"]
            if "additionalProperties" in f and i + 1 < len(names):
                f = f["additionalProperties"]
            full = self.ref(f)
        if full is None and "$ref" not in f.get("additionalProperties", {}):
            self.go_names[owner] = go

    def lines(self):
        for package in self.packages:
            gv = None
            body = []
            for full in sorted(n for n in self.defs if n.rsplit(".", 1)[0] == package):
                d, name = self.defs[full], full.rsplit(".", 1)[1]
                if full in SPECIAL:
                    continue
                marks = ""
                gvks = d.get("x-kubernetes-group-version-kind", [])
                if gvks and gvks[0]["kind"] == name and len(gvks) == 1:
                    gv = "/".join(x for x in (gvks[0]["group"], gvks[0]["version"]) if x)
                    marks += "*"
                elif len(gvks) > 1:
                    gv, marks = "v1", marks + "*"
                if d.get("x-kubernetes-map-type") == "atomic":
                    marks += "%"
                required = d.get("required", [])
                fields = [self.field_text(full, n, f, required) for n, f in sorted(d.get("properties", {}).items())]
                body.append(" ".join([name + marks] + fields))
            if body:
                yield " ".join(["@" + self.alias[package], package] + ([gv] if gv else []))
                yield from body


VERBS = {"create": "c", "delete": "d", "deletecollection": "D", "get": "g", "list": "l", "patch": "p", "update": "u", "watch": "w"}


def verbs(r):
    text = "".join(VERBS[v] for v in r["verbs"])
    return "*" if text == "cdDglpuw" else text


def resources(folder):
    groups = json.load(open(os.path.join(folder, "discovery", "apis.json")))["groups"]
    order = ["v1"] + [v["groupVersion"] for g in groups for v in g["versions"]]
    for gv in order:
        name = "api-v1.json" if gv == "v1" else "apis-%s.json" % gv.replace("/", "-")
        yield "@" + gv
        for r in json.load(open(os.path.join(folder, "discovery", name)))["resources"]:
            if "/" in r["name"]:
                other = "/".join(x for x in (r.get("group"), r.get("version")) if x)
                yield " ".join(["/" + r["name"].split("/")[1], r["kind"], verbs(r)] + ([other] if other else []))
                continue
            scope = "n" if r["namespaced"] else "c"
            lists = [",".join(r.get(k, [])) or "-" for k in ("shortNames", "categories")]
            yield " ".join([r["name"], r["kind"], r["singularName"], scope, verbs(r)] + lists + [r.get("storageVersionHash") or "-"])


def tables(folder):
    for name, table in sorted(json.load(open(os.path.join(folder, "tables.json")))["resources"].items()):
        columns = []
        for c in table["columns"]:
            parts = [c["name"], c["type"], c.get("format") or "", str(c["priority"]) if c["priority"] else ""]
            columns.append(",".join(parts).rstrip(","))
        yield name + " " + ";".join(columns)


def write(folder, name, lines):
    with open(os.path.join(folder, name), "w") as f:
        f.write("\n".join(lines) + "\n")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    reference = sys.argv[1]
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.join(here, "..", "..", "static", "schema")
    types = Types(reference)
    types.learn_go_names(os.path.join(reference, "validation.jsonl"))
    write(out, "types.txt", types.lines())
    write(out, "resources.txt", resources(reference))
    write(out, "tables.txt", tables(reference))


if __name__ == "__main__":
    main()
