// The boot server's HTTPS, and the lab's one SSH key, for the image's /usr/lib/rookery/secure: nothing of it
// runs in a lab that does not ask. A certificate is made when asked for, so that its dates are those of the
// machine's clock and its key comes from the machine's own random numbers.
#include <fmt/format.h>

#include "vboot/roles/boot_server.h"

namespace rookery::vboot {

std::string boot_server_secure(const LabPlan& plan, const MachinePlan& server) {
  std::string names = fmt::format("DNS:{0},DNS:{0}.{1}", server.name, plan.domain);
  for (const VlanPlan& vlan : plan.vlans) names += ",IP:" + to_text(vlan.server);
  return fmt::format(R"(#!/bin/sh
# HTTPS for the boot server; made by the role boot-server and run by /usr/lib/rookery/secure. The certificate can be
# had by HTTP afterwards, and by HTTPS the key that opens the lab's machines.
set -eu
umask 077
cd {1}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 3650 -subj /CN={2} \
  -addext subjectAltName={0} -keyout key.pem -out new.pem 2> log || {{ cat log >&2; exit 1; }}
cat key.pem new.pem > server.pem
ssh-keygen -q -t ed25519 -N '' -C {3} -f login
mkdir -m 755 served
install -m 644 new.pem served/cert.pem
install -o nobody -m 400 login login.pub served
lighttpd -f {4}/secure.conf
cp served/cert.pem cert.pem
)",
                     names, kSecureFolder, server.name, plan.name, kRoleFolder);
}

std::string secure_conf(const LabPlan& plan) {
  std::string listeners;
  for (const VlanPlan& vlan : plan.vlans) {
    listeners += fmt::format(
        "$SERVER[\"socket\"] == \"{}:443\" {{\n"
        "  ssl.engine = \"enable\"\n"
        "  ssl.pemfile = \"{}/server.pem\"\n"
        "}}\n",
        to_text(vlan.server), kSecureFolder);
  }
  return fmt::format(
      "# lighttpd of the boot server of lab {0}, for HTTPS: what is there by HTTP, and the lab's SSH key.\n"
      "server.modules = (\"mod_alias\", \"mod_openssl\", \"mod_staticfile\")\n"
      // Debian 12's curl (7.88) now and then takes the end of a stream for a broken one.
      "server.feature-flags = (\"server.h2proto\" => \"disable\")\n"
      "server.compat-module-load = \"disable\"\n"
      "server.bind = \"127.0.0.1\"\n"
      "server.port = 443\n"
      "server.document-root = \"{1}\"\n"
      "alias.url = (\"/login\" => \"{2}/served/login\")\n"
      "mimetype.assign = (\"\" => \"application/octet-stream\")\n"
      "server.username = \"nobody\"\n"
      "server.groupname = \"nogroup\"\n"
      "server.pid-file = \"/run/rookery/secure.pid\"\n"
      "server.errorlog = \"/run/rookery/lighttpd.log\"\n"
      "{3}",
      plan.name, kComponentFolder, kSecureFolder, listeners);
}

}  // namespace rookery::vboot
