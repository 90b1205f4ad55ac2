// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.agent;

import com.sun.tools.attach.AttachNotSupportedException;
import com.sun.tools.attach.VirtualMachine;
import java.io.IOException;
import javax.management.JMException;
import javax.management.MBeanServerConnection;
import javax.management.ObjectName;
import javax.management.remote.JMXConnector;
import javax.management.remote.JMXConnectorFactory;
import javax.management.remote.JMXServiceURL;

/** The MBeans of another JVM, read as JConsole does. */
final class JvmBeans implements AutoCloseable {

    private final JMXConnector connector;

    /** The JVM is a child of this one, so its address can be trusted. */
    @SuppressWarnings("BanJNDI")
    JvmBeans(long pid) throws IOException, AttachNotSupportedException {
        VirtualMachine jvm = VirtualMachine.attach(Long.toString(pid));
        try {
            connector = JMXConnectorFactory.connect(new JMXServiceURL(jvm.startLocalManagementAgent()));
        } finally {
            jvm.detach();
        }
    }

    private MBeanServerConnection server() throws IOException {
        return connector.getMBeanServerConnection();
    }

    boolean isRegistered(String name) throws IOException, JMException {
        return server().isRegistered(new ObjectName(name));
    }

    Object attribute(String name, String attribute) throws IOException, JMException {
        return server().getAttribute(new ObjectName(name), attribute);
    }

    /** Returns the number of class loaders that were created for module layers. */
    long moduleLoaders() throws IOException, JMException {
        String loaders = (String) server().invoke(
                        new ObjectName("com.sun.management:type=DiagnosticCommand"),
                        "vmClassloaders",
                        new Object[] {new String[] {"fold=false"}},
                        new String[] {String[].class.getName()});
        return loaders.lines()
                .filter(line -> line.contains("jdk.internal.loader.Loader"))
                .count();
    }

    @Override
    public void close() throws IOException {
        connector.close();
    }
}
