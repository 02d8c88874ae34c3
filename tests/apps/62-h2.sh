#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# H2, a database in Java: its TCP server inside, its JDBC client outside, where its jar can be fetched.
. tests/apps/lib.sh
need javac java jlink mvn
fetch_maven "$R/data/jars" com.h2database:h2:2.2.224 ||
    { skip "apps: H2 cannot be fetched: $(grep -m 1 ERROR "$T/err" | cut -c1-100)"; exit 0; }
mkdir -p "$T/java"
cat >"$T/java/Client.java" <<'END'
import java.sql.*;

public class Client {
    public static void main(String[] a) throws Exception {
        String url = "jdbc:h2:tcp://127.0.0.1:" + a[0] + "//data/db/test";
        if (a.length > 1) { // only: does it answer?
            DriverManager.getConnection(url, "sa", "secret").close();
            return;
        }
        Thread[] t = new Thread[4];
        try (Connection c = DriverManager.getConnection(url, "sa", "secret")) {
            c.createStatement().execute("create table t (id identity primary key, who int, text varchar)");
            for (int k = 0; k < t.length; k++) {
                int who = k;
                t[k] = new Thread(() -> {
                    try (Connection d = DriverManager.getConnection(url, "sa", "secret")) {
                        d.setAutoCommit(false);
                        PreparedStatement p = d.prepareStatement("insert into t (who, text) values (?, ?)");
                        for (int i = 0; i < 500; i++) {
                            p.setInt(1, who);
                            p.setString(2, "row " + i);
                            p.executeUpdate();
                            if (i % 50 == 49) d.commit();
                        }
                    } catch (SQLException e) { System.out.println(e); }
                });
                t[k].start();
            }
            for (Thread x : t) x.join();
            ResultSet r = c.createStatement().executeQuery("select count(*), count(distinct who), max(length(text)) from t");
            r.next();
            System.out.println(r.getInt(1) + " " + r.getInt(2) + " " + r.getInt(3));
        }
    }
}
END
(cd "$T/java" && javac Client.java) >"$T/err" 2>&1 && add_java java.base,java.sql,java.management,java.naming,java.logging,jdk.net ||
    { skip "apps: no Java image could be made"; exit 0; }
mkdir -p "$R/data/db"
image h2
MEMORY=2G start h2 9092 /opt/java/bin/java -cp '/data/jars/*' org.h2.tools.Server -tcp -tcpAllowOthers -ifNotExists -tcpPort 9092
client() { timeout 60 java -cp "$T/java:$R/data/jars/*" Client "$port" "$@"; }
check "h2: answers" until_true 60 client only
same "h2: four clients, 2,000 rows" "$(client 2>&1)" "2000 4 7"
idle h2
finish_app h2 143
