// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

/**
 * Thrown when a setting can only change while no page is merged, and pages are merged. Setting {@link KsmSetting#RUN}
 * to 2 unmerges all pages of the machine, which needs memory for all of them.
 *
 * @since 0.1.0
 */
public final class SettingBusyException extends KsmSettingException {

    private static final long serialVersionUID = 1;

    SettingBusyException(KsmSetting setting, String message) {
        super(setting, message);
    }
}
